"""Writes the verdicts of a comparison: a table for people, Markdown for pull requests, JSON and JUnit for machines.

Table and Markdown show what changed, and everything if asked; JSON and JUnit always hold every row.
Reasons quote what methods raised, so each format escapes them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from .compare import UNCHANGED, Verdict, Word

FORMATS = ("table", "markdown", "json", "junit")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_REASON = 300


def render(verdicts: Sequence[Verdict], *, form: str, failing: frozenset[Word], verbose: bool) -> str:
    """The verdicts in one of FORMATS; `failing` are the verdicts on which the gate fails."""
    shown = [v for v in verdicts if verbose or v.verdict not in UNCHANGED]
    if form == "json":
        return _json(verdicts, failing)
    if form == "junit":
        return _junit(verdicts, failing)
    counts = _counts(verdicts, failing)
    return _markdown(shown, counts, failing) if form == "markdown" else "\n".join([*map(_line, shown), counts])


def _counts(verdicts: Sequence[Verdict], failing: frozenset[Word]) -> str:
    counted = Counter(v.verdict for v in verdicts)
    said = ", ".join(f"{n} {word}" for word, n in counted.most_common()) or "no records"
    n_failing = sum(n for word, n in counted.items() if word in failing)
    return f"{said}; {n_failing} of {len(verdicts)} fail" if n_failing else f"{said}; nothing fails"


def _line(v: Verdict) -> str:
    parts = [f"{v.verdict:<16} {v.label} x {v.task}", v.measure or "", _numbers(v), _one_line(v.reason)]
    return "  ".join(part for part in parts if part)


def _numbers(v: Verdict) -> str:
    if v.change is None:
        return ""
    return f"{_short(v.base)} -> {_short(v.head)} ({_change(v)})"


def _change(v: Verdict) -> str:
    spread = f", 95 % interval {v.interval[0]:+.3g} to {v.interval[1]:+.3g}" if v.interval else ""
    pairs = f", {v.pairs} pairs" if v.pairs > 1 else ""
    return f"{v.change:+.3g}{spread}{pairs}, tolerance {v.tolerance:.3g}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + " ..."


def _markdown(shown: Sequence[Verdict], counts: str, failing: frozenset[Word]) -> str:
    lines = [f"**bench compare: {counts}**"]
    if shown:
        columns = ("", "verdict", "method", "task", "measure", "base", "head", "change", "why")
        lines += ["", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for v in shown:
        mark = "❌" if v.verdict in failing else ""
        numbers = (_short(v.base), _short(v.head), "" if v.change is None else _change(v))
        names = (_code(v.label), _code(v.task), _code(v.measure or ""))
        lines.append(f"| {' | '.join((mark, v.verdict, *names, *numbers, _code(_one_line(v.reason))))} |")
    return "\n".join(lines)


def _code(text: str) -> str:
    """Text that Markdown does not read: no links, images or mentions out of another's words."""
    clean = text.replace("`", "'").replace("|", "\\|")
    return f"`{clean}`" if clean else ""


def _json(verdicts: Sequence[Verdict], failing: frozenset[Word]) -> str:
    cells = [{**asdict(v), "fails": v.verdict in failing} for v in verdicts]
    counts = Counter(v.verdict for v in verdicts)
    return json.dumps({"counts": counts, "cells": cells}, indent=1, allow_nan=False)


def _junit(verdicts: Sequence[Verdict], failing: frozenset[Word]) -> str:
    """A test case per cell and measure; what was not compared, and is no failure, is skipped."""
    suite = ElementTree.Element("testsuite", name="bench compare", tests=str(len(verdicts)))
    failures = skipped = 0
    for v in verdicts:
        name = _xml(f"{v.label} {v.measure or 'cell'}")
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(v.task), name=name)
        said = _xml(_line(v))
        if v.verdict in failing:
            failures += 1
            ElementTree.SubElement(case, "failure", type=v.verdict, message=said).text = said
        elif v.change is None:
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=said)
    suite.attrib |= {"failures": str(failures), "errors": "0", "skipped": str(skipped)}
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _xml(text: str) -> str:
    """Without the control characters that no XML may hold, such as those that colour a traceback."""
    return _NOT_IN_XML.sub("?", text)
