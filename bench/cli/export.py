"""`bench export`: the edited model of a record as a Hugging Face checkpoint."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import RecordError, Unsupported, UsageError, WriteError
from ..plugins.registry import Registry
from .found import record_path, solution_beside
from .options import model_option, own_tasks, plugin_option, results_option, samples_options

if TYPE_CHECKING:
    from ..contract.task import Task
    from ..records import Record

# What makes token ids of text, and what the model says of its first and last tokens.
_TOKENIZER = (
    "tokenizer*.json", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*", "*.model",
)  # fmt: skip
_ENDS = ("bos_token_id", "eos_token_id", "pad_token_id")


@click.command("export")
@click.argument("name", metavar="RECORD")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new or empty folder.")
@click.option("--point", type=float, help="A budget in edges or a scale of the record's [default: the reported one].")
@model_option
@samples_options
@results_option
@plugin_option
def command(
    name: str,
    out: Path,
    point: float | None,
    model: Path | None,
    bad: Path | None,
    keep: Path | None,
    results: Path | None,
    plugins: tuple[Path, ...],
) -> None:
    """Write the edited model of RECORD (a path, or METHOD/TASK@vN/data-M/seed-N in the results folder) as a checkpoint.

    Changed weights can be written, and cuts that silence whole heads or MLPs; of other cuts you are told why not. A record of
    samples of one's own needs the --model, --bad and --keep that it was made with.
    """
    from ..kinds import kind
    from ..records.store import read_record

    path = record_path(name, results)
    if path is None:
        raise UsageError(f"There is no record {name!r}; give the path of one (.json), as `bench run` leaves it.")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"--out {str(out)!r} is not empty and nothing is overwritten; name a new folder.")
    record = read_record(path)
    if record.status != "done":
        raise UsageError(f"{str(path)!r} has nothing to export: its cell is {record.status}; name one that is done.")
    own = own_tasks(model, bad=bad, keep=keep).get("removal")
    task: Task = _registered(record, plugins) if own is None else own.load()
    _check_same(record, task)
    solution = solution_beside(record, path, "an edited model")
    instance = task.load(record.cell.data_seed, "cpu")
    with _put_in_place(out) as made:
        try:
            said = kind(task.kind).export(instance, solution, point, made)
        except Unsupported as error:
            raise Unsupported(f"{record.cell.name} cannot be written as a checkpoint: {error}.") from error
        copied = _tokenizer(task, made)
    click.echo(f"{out}: {record.cell.label} on {task.name}, {said}{'' if copied else '; without a tokenizer'}")


def _registered(record: Record, plugins: tuple[Path, ...]) -> Task:
    registry, name = Registry(plugins), record.cell.task
    if name not in registry.plugins("task"):
        raise UsageError(
            f"The task {name!r} is none that is registered here; give the --model, --bad and --keep, or the --plugin, that the "
            f"record was made with: `{record.provenance.command}`."
        )
    task: Task = registry.load("task", name)
    return task


def _check_same(record: Record, task: Task) -> None:
    """See that the task is the record's, down to its files: an edit of other weights is another model."""
    cell, now = record.cell, task.asset_hashes()
    if (task.name, task.version) != (cell.task, cell.task_version):
        raise UsageError(
            f"The record is of {cell.task}@v{cell.task_version} and what was given makes {task.name}@v{task.version}; give what the "
            f"record was made with: `{record.provenance.command}`."
        )
    changed = [name for name, found in record.provenance.assets.items() if now.get(name) != found]
    if changed:
        raise RecordError(f"{', '.join(changed)} of {task.name} changed since the record was made; run the cell again.")


@contextmanager
def _put_in_place(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when all is well, so that no half of a checkpoint is left."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as beside:
            made = Path(beside) / out.name
            made.mkdir()
            yield made
            if out.is_dir():
                out.rmdir()
            made.rename(out)
    except OSError as error:
        raise WriteError(
            f"{str(out)!r} cannot be written ({error.strerror}); free space or name another folder."
        ) from error


def _tokenizer(task: Task, target: Path) -> bool:
    """Copy the files of the model's tokenizer, and what its configuration says of first and last tokens, if there are any."""
    copied = False
    for folder in task.checkpoint_folders():
        for path in (path for pattern in _TOKENIZER for path in sorted(folder.glob(pattern))):
            shutil.copyfile(path, target / path.name)
            copied = True
        if (folder / "config.json").is_file():
            said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            _update(target, {name: said[name] for name in _ENDS if name in said})
    return copied


def _update(target: Path, ends: dict[str, object]) -> None:
    for name in ("config.json", "generation_config.json"):
        path = target / name
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8")) | ends
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
