"""How long the program takes to start, and what it weighs before the first call.

python bench/start.py [--runs 7]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from stand import config, served

WANTED = {"--version": 0.12, "providers list": 0.25, "validate": 0.35}


def median_secs(command: list[str], runs: int) -> float:
    def once() -> float:
        begun = time.perf_counter()
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - begun

    once()  # fills the caches of the disk
    return statistics.median(once() for _ in range(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    voxray = str(Path(sys.executable).with_name("voxray"))
    bare = median_secs([sys.executable, "-c", "pass"], runs)
    print(f"{'python -c pass':28}{bare:8.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps({"provider": "openai", "turn_detection": "silence"}))
        for name, wanted in WANTED.items():
            command = [voxray, *name.split()] + ([str(path)] if name == "validate" else [])
            secs = median_secs(command, runs)
            print(f"{'voxray ' + name:28}{secs:8.3f} s   wanted {wanted:.2f}   {secs / bare:5.1f} times a bare start")
    for name, settings in (
        ("no voice", {"log_level": "warn"}),
        ("openai, energy", config("http://127.0.0.1:9/v1", vad_type="energy")),
        ("openai, silero", config("http://127.0.0.1:9/v1")),
    ):
        ready, rss = [], 0.0
        for _ in range(3):
            with served(settings) as process:
                ready.append(process.ready_secs)
                time.sleep(0.5)
                rss = process.rss_mib
        print(f"{'serve: ' + name:28}{statistics.median(ready):8.2f} s   wanted 1.50   {rss:5.0f} MiB idle")


if __name__ == "__main__":
    main()
