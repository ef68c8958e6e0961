"""PocketSphinx for Voxray: an offline recogniser, free or with a grammar."""

from __future__ import annotations

from voxray.plugin import SttSpec, hookimpl

OPTIONS = {
    "grammar": {
        "type": "string",
        "default": "",
        "description": "What may be said: a JSGF grammar, as text or as the path of a file. Empty: free English, "
        "which understands about half the words; `voxray dialogue grammar` writes the grammar of a flow.",
    },
    "pronunciations": {
        "type": "object",
        "default": {},
        "additionalProperties": {"type": "string"},
        "description": 'Words the dictionary lacks, as phones of the CMU dictionary: {"voxray": "V AA K S R EY"}.',
    },
    "endpointing": {
        "type": "boolean",
        "default": False,
        "description": 'Report an utterance as final when a pause follows it. Needed with `turn_detection: "none"`.',
    },
    "endpoint_silence_ms": {
        "type": "integer",
        "default": 600,
        "minimum": 150,
        "maximum": 5000,
        "description": "How long the pause must be, with `endpointing`.",
    },
    "hmm": {"type": "string", "default": "", "description": "Folder of an acoustic model; empty: US English."},
    "lm": {"type": "string", "default": "", "description": "Language model file; empty: US English."},
    "dict": {"type": "string", "default": "", "description": "Dictionary file; empty: the CMU dictionary."},
}


@hookimpl
def voxray_register_providers() -> list[SttSpec]:
    return [
        SttSpec(
            name="pocketsphinx",
            title="PocketSphinx",
            factory="voxray_pocketsphinx.engine:PocketsphinxStt",
            options=OPTIONS,
            streaming=True,
            languages=("en-US",),
            docs_url="https://pocketsphinx.readthedocs.io",
            note="runs in this process, no key and no network; made for grammars, poor at free speech",
        )
    ]
