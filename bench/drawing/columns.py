"""The columns of a removal as a table, and what a model says before and after as a list."""

from __future__ import annotations

from html import escape

from ..kinds.removal_exhibits import Columns, Completions


def columns_table(columns: Columns, *, title: str) -> str:
    """Every measure of the unedited model and of each edit; the reported one is marked."""
    head = "".join(f'<th scope="col">{escape(c.name)}</th>' for c in columns.columns)
    rows = []
    for row, label in enumerate(columns.rows):
        cells = "".join(f"<td>{_cell(c.values, c.errors, row)}</td>" for c in columns.columns)
        name = f"<strong>{escape(label)}</strong>" if row == columns.reported else escape(label)
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    n = ", ".join(f"{escape(c.name)} on {c.n:,}" for c in columns.columns)
    return (
        f'<div class="wide"><table><caption>Mean and standard error; {n} samples, the same for every row. Reported: '
        f"<strong>bold</strong>.</caption><thead><tr><th scope='col'>{escape('edit')}</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(values: tuple[float, ...], errors: tuple[float, ...], row: int) -> str:
    if row >= min(len(values), len(errors)):
        return ""
    return f"{values[row]:.3f} <small>±{errors[row]:.3f}</small>"


def completions_list(completions: Completions, *, title: str) -> str:
    """Harmless completions before and after the edit."""
    said = (
        f"Of {completions.n:,} completions {completions.harmless_before:,} were harmless before the edit and "
        f"{completions.harmless_after:,} are after it. Here are some of which nothing is harmful."
    )
    items = "".join(
        f"<li><span class='quiet'>{escape(each.prompt)}</span><br>before: {escape(each.before)}<br>after: {escape(each.after)}</li>"
        for each in completions.shown
    )
    return f"<p>{said}</p><ul class='completions'>{items}</ul>"
