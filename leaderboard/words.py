"""Names and numbers as readers of the page see them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from unicodedata import normalize

from mechboard.contract.scores import Measure

from .groups import PASSES

_ACCENTS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308"}
_LONGEST = 200
"""Of a file's name without its suffix; disks take 255 bytes."""
_ABBREVIATION = re.compile(r"[a-z]{2,3}")


def page_name(label: str) -> str:
    """File name of a label: letters, digits, '.', '-', '+' and '='; other characters by their code.

    >>> page_name("eap-ig[steps=10]")
    'eap-ig~5bsteps=10~5d'
    """
    safe = re.sub(r"[^A-Za-z0-9.+=-]", lambda m: f"~{ord(m.group()):x}", label)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}~{sha256(label.encode()).hexdigest()[:16]}"


def titled(measure: str) -> str:
    """A measure in running text: a short first word is an abbreviation, hyphens are spaces.

    >>> titled("auc"), titled("average-precision"), titled("cmd[t:declared]")
    ('AUC', 'average precision', 'CMD [t:declared]')
    """
    name, bracket, rest = measure.partition("[")
    first, *others = name.split("-")
    words = [first.upper() if _ABBREVIATION.fullmatch(first) else first, *others]
    return " ".join([*words, *([f"[{rest}"] if bracket else [])])


def number(value: float, measure: str = "") -> str:
    """A value as tables show it; passes are counted, so that they need no third decimal."""
    return f"{value:z,.1f}" if measure == PASSES else f"{value:z.3f}"


def shown(measure: Measure | None) -> str:
    """The value of a measure, a dash without one."""
    return "–" if measure is None or measure.value is None else number(measure.value)


def spent(passes: float | None, digits: int = 1) -> str:
    """Passes that may not be known."""
    return "unknown" if passes is None else f"{passes:.{digits}f}"


def bibtex(key: str, fields: Mapping[str, str]) -> str:
    """A BibTeX entry for a preprint; empty if there is nothing to cite."""
    if not fields:
        return ""
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    if "eprint" in fields:
        lines.append("  archivePrefix = {arXiv},")
    return "\n".join([f"@misc{{{re.sub(r'[^A-Za-z0-9]', '-', key)},", *lines, "}"])


def reference(fields: Mapping[str, str]) -> str:
    """The fields of a citation as one line of text.

    >>> reference({"author": "Conmy, A and Garriga-Alonso, A", "title": "A {T}itle", "year": "2023", "eprint": "2304.14997"})
    'Conmy, A and Garriga-Alonso, A (2023). A Title. arXiv:2304.14997'
    """
    parts = dict(fields)
    head = parts.pop("author", "") + (f" ({year})" if (year := parts.pop("year", "")) else "")
    title, eprint = parts.pop("title", ""), parts.pop("eprint", "")
    line = [head.strip(), title, f"arXiv:{eprint}" if eprint else "", *(f"{k}: {v}" for k, v in parts.items())]
    return _without_tex(". ".join(part for part in line if part))


def _without_tex(text: str) -> str:
    """Letters in place of TeX's accents, and no braces."""
    accented = re.sub(r"\\([`'^~\"])\{?([A-Za-z])", lambda m: normalize("NFC", m[2] + _ACCENTS[m[1]]), text)
    return re.sub(r"[{}]", "", accented)
