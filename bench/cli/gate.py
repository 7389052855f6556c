"""`bench gate`: run what a branch started from and what it is now, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..comparison.compare import compare
from ..comparison.gate import run_both
from ..comparison.trees import Repository
from ..comparison.wanted import check_names
from ..records.store import default_results
from .comparison import comparison_options, conclude, wanted_measures

_EXAMPLES = """\b
Examples:
  bench gate --method my-method --task embedded
  bench gate --base v1.2 --method 'eap*' --task 'compiled-*' --measure auc:0.01 --format markdown
"""


@click.command("gate", epilog=_EXAMPLES)
@click.option("--base", default="origin/main", show_default=True, help="Branch, tag or commit to compare with.")
@click.option("--method", required=True, help="Names, globs, labels, comma lists or `all`, as for `bench run`.")
@click.option("--task", required=True, help="Names, globs, suites, comma lists or `all`, as for `bench run`.")
@click.option("--param", "parameters", multiple=True, help="METHOD.NAME=VALUE, for both sides. Repeatable.")
@click.option("--seeds", default=1, type=click.IntRange(1), show_default=True,
              help="Seeds of methods that draw; five or more tell noise from change.")  # fmt: skip
@click.option("--data-seeds", default=1, type=click.IntRange(1), show_default=True, help="Instances of each task.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False),
              help="Records go to DIR/base and DIR/head [default: gate/ in the folder of `bench run`].")  # fmt: skip
@comparison_options
def command(base: str, method: str, task: str, parameters: tuple[str, ...], **flags: Any) -> int:
    """Did my branch make it worse? Run this in the repository of your method, or in a clone of mechboard.

    Runs the same cells twice: with the code where your branch left --base, and with your working tree as it stands,
    uncommitted changes included; then compares as `bench compare` does. Your clone and this environment stay as they
    are: each side's package is installed into a temporary folder, and its dependencies are those installed here.

    Exits 0 if nothing is worse; 1 if a measure is worse, a cell newly fails, is missing in HEAD, or can no longer be
    compared; 2 if a side cannot be installed or run; 4 if no cell could be compared.
    """
    wanted = wanted_measures(flags)
    results = (flags["results"] or default_results() / "gate").resolve()
    arguments = ["--method", method, "--task", task, "--seeds", str(flags["seeds"])]
    arguments += ["--data-seeds", str(flags["data_seeds"])]
    for parameter in parameters:
        arguments += ["--param", parameter]
    repository = Repository.around(Path.cwd())
    old, new = run_both(repository, base, arguments, results, lambda line: click.echo(line, err=True))
    check_names(wanted, [*old, *new])
    return conclude(compare(old, new, wanted), flags)
