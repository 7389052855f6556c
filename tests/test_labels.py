"""Rows such as `eap-ig[steps=10]`: selected by what tables print, run together, on the command line and in a notebook."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from test_cli import CHEAP, bench  # noqa: F401

from mechboard.errors import UsageError
from mechboard.notebook.run import run
from mechboard.plugins.registry import Registry
from mechboard.protocols import EdgeScores, method
from mechboard.runs.labels import label, parse_label, split
from mechboard.runs.session import pick_methods

PLUGIN = '''
"""Made up."""
from dataclasses import dataclass
import torch
from mechboard.protocols import EdgeScores, method


@dataclass(frozen=True)
class Parameters:
    at: str = "clean"
    tau: float = 0.5
    signed: bool = True

    def __post_init__(self):
        if self.at not in ("clean", "corrupt"):
            raise ValueError(f"at={self.at!r} was given; valid: clean, corrupt.")


@method(name="made", kinds=("circuit",), deterministic=True)
def made(problem, generator, parameters: Parameters):
    return EdgeScores(torch.linspace(1, 0, problem.graph.n_edges) * parameters.tau)
'''


@pytest.fixture
def labels(bench):  # noqa: F811
    """Labels that a selection plans, with the parameters of each."""
    Path("made.py").write_text(PLUGIN)

    def plan(method, *arguments):
        code, out, err = bench(
            "run", "--method", method, *CHEAP, "--plugin", "made.py", "--dry-run", "--json", *arguments
        )
        assert code == 0, err
        return [cell["label"] for cell in json.loads(out)]

    return plan


def test_labels_and_names_run_side_by_side_in_the_order_given(labels):
    typed = ["made[at=corrupt,tau=0.25]", "eap", "made", "made[signed=False]"]
    assert labels(",".join(typed)) == typed


def test_the_default_is_the_name_and_a_row_is_planned_once(labels):
    assert labels("made[at=clean],made,mad*,made[tau=0.50]") == ["made"]
    assert labels("made[tau=1],made[at=clean,tau=1.0]") == ["made[tau=1.0]"]
    assert labels("made[tau=1,at=corrupt], made[at=corrupt,tau=1.0]") == ["made[at=corrupt,tau=1.0]"]


def test_what_is_printed_as_a_label_selects_that_row(labels):
    method = Registry((Path("made.py"),)).load("method", "made")
    for passed in ({"at": "corrupt"}, {"tau": 1e-5, "signed": False}, {"tau": -2.0}):
        printed = label(method, method.parameters(**passed))
        assert labels(printed) == [printed]


def test_labels_stand_in_a_config_file(bench):  # noqa: F811
    Path("run.toml").write_text('method = "eap,eap-ig[steps=2]"\ntask = "compiled-brackets"\n')
    code, out, _ = bench("run", "--config", "run.toml", "--json")
    assert code == 0
    assert [cell["label"] for cell in json.loads(out)] == ["eap", "eap-ig[steps=2]"]
    assert Path("mechboard-results/eap-ig+steps=2").is_dir()


def test_parameters_of_the_command_line_are_for_names_and_a_label_keeps_its_own(labels):
    assert labels("made,made[at=corrupt]", "--param", "made.tau=2") == ["made[tau=2.0]", "made[at=corrupt]"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("made[ta=1]", "No parameter of made matches 'ta'; closest: tau"),
        ("made[tau=x]", "The label 'made[tau=x]' was given; valid: a value of type float, finite"),
        ("made[tau=inf]", "a value of type float, finite"),
        ("made[signed=perhaps]", "valid values: true, false"),
        ("made[at=both]", "at='both' was given; valid: clean, corrupt"),
        ("mad[tau=1]", "No method matches 'mad'; closest: made"),
        ("mad*[tau=1]", "No method matches 'mad*'"),
        ("made[tau=1,0.5]", "METHOD[NAME=VALUE,...] with each name once"),
        ("made[tau=1,tau=2]", "METHOD[NAME=VALUE,...] with each name once"),
        ("made[tau=1", "No method matches 'made[tau=1'"),
        ("made[]", "No method matches 'made[]'"),
    ],
)
def test_a_label_that_is_none_says_what_would_be_one(bench, given, said):  # noqa: F811
    Path("made.py").write_text(PLUGIN)
    code, _, err = bench("run", "--method", f"eap,{given}", *CHEAP, "--plugin", "made.py")
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_parameters_beside_a_label_alone_are_refused(bench):  # noqa: F811
    Path("made.py").write_text(PLUGIN)
    code, _, err = bench("run", "--method", "made[at=corrupt]", *CHEAP, "--plugin", "made.py", "--param", "made.tau=2")
    assert code == 2
    assert "selected by the label 'made[at=corrupt]', which says them all; write them into the label" in err


def test_a_glob_with_a_set_is_a_glob():
    assert parse_label("eap[-_]ig") is None
    assert list(split("eap[-]ig,random")) == ["eap[-]ig", "random"]
    assert [one.text for one in pick_methods(Registry(), "eap[-]ig,random", [])] == ["eap-ig", "random"]


@dataclass(frozen=True)
class Slope:
    slope: float = 1.0


@method(name="falling", kinds=("circuit",), deterministic=True)
def falling(problem, generator, parameters: Slope):
    """Falls."""
    return EdgeScores(parameters.slope * torch.linspace(1, 0.1, problem.graph.n_edges))


def test_a_notebook_selects_by_label_too_and_tells_the_call():
    results = run(["eap-ig[steps=2]", "eap-ig", falling], "compiled-brackets", parameters={"eap-ig": {"steps": 3}})
    assert [record.cell.label for record in results] == ["eap-ig[steps=2]", "eap-ig[steps=3]", "falling"]
    assert results[0].provenance.command == (
        "mechboard.run(['eap-ig[steps=2]', 'eap-ig', 'falling'], ['compiled-brackets'], "
        "parameters={'eap-ig': {'steps': 3}})"
    )
    with pytest.raises(UsageError, match=re.escape("which says them all")):
        run("eap-ig[steps=2]", "compiled-brackets", parameters={"eap-ig": {"steps": 3}})
