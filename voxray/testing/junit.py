"""Results of scripted calls as JUnit XML, which every CI system can show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from voxray.testing.conversation import CallResult, TurnResult, latency_ms

UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # not allowed in XML 1.0


def junit_xml(results: Sequence[CallResult], *, name: str) -> str:
    """One suite; a test case for each turn, and one for the call as a whole."""
    suite = ET.Element("testsuite", name=_clean(name))
    for result in results:
        owner = f"{name}.call-{result.number:03d}"
        for turn in result.turns:
            _case(suite, owner, _title(turn), turn.problems, (latency_ms(turn.reply) or 0.0) / 1000)
        whole = _case(suite, owner, "call", result.problems, result.duration_secs)
        if not result.connected:
            for failure in whole.findall("failure"):
                failure.tag = "error"
        if result.failures:
            ET.SubElement(whole, "system-out").text = _clean("\n".join(result.failures))
    for attribute, tag in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error")):
        suite.set(attribute, str(len(suite.findall(tag))))
    suite.set("time", f"{sum(result.duration_secs for result in results):.3f}")
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, owner: str, name: str, problems: list[str], secs: float) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=_clean(owner), name=_clean(name), time=f"{secs:.3f}")
    if problems:
        failure = ET.SubElement(case, "failure", message=_clean(problems[0]))
        failure.text = _clean("\n".join(problems))
    return case


def _title(turn: TurnResult) -> str:
    return f"turn {turn.number}: {turn.action} {turn.said}".strip() if turn.number else "greeting"


def _clean(text: str) -> str:
    return UNPRINTABLE.sub("\ufffd", text)
