"""What a task may declare, field by field: each mistake is named with what would be valid."""

from dataclasses import dataclass

import pytest

from mechboard.errors import PluginError
from mechboard.protocols import Instance, Task


@dataclass(frozen=True, kw_only=True)
class Some(Task):
    def load(self, data_seed, device):
        return Instance(problem=None, held_out=None)


GOOD = {"name": "my-task", "kind": "circuit", "summary": "Mine"}


def test_a_task_says_only_what_differs():
    task = Some(**GOOD)
    assert (task.version, task.tier, task.family, task.level, task.ranked) == (1, "embedded", "my-task", None, True)
    assert (task.assets, task.oracles, dict(task.chance), dict(task.citation)) == ((), (), {}, {})
    assert (task.asset_hashes(), task.truth_hashes()) == ({}, {})
    assert "field by field" in task.description
    assert Some(**GOOD, family="mine").family == "mine"


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [
        ("name", "my task", "letters, digits"),
        ("name", "", "letters, digits"),
        ("name", "my/task", "letters, digits"),
        ("kind", 3, "the name of a kind"),
        ("summary", "  ", "one line of text"),
        ("version", 0, "a whole number from 1 on"),
        ("version", "1", "a whole number from 1 on"),
        ("version", True, "a whole number from 1 on"),
        ("tier", "huge", "'embedded' or 'paper'"),
        ("family", "a family", "letters, digits"),
        ("level", "hard", "None, or a whole number"),
        ("level", 1.5, "None, or a whole number"),
        ("ranked", "yes", "True or False"),
        ("assets", ["stories260K"], "a tuple of mechboard.assets.Asset"),
        ("oracles", ("eap", 3), "a tuple of names of methods"),
        ("oracles", "eap", "a tuple of names of methods"),
        ("chance", {"cmd": float("nan")}, "a mapping from names of measures to finite numbers"),
        ("chance", {"cmd": "half"}, "a mapping from names of measures to finite numbers"),
        ("citation", {"year": 2023}, "a mapping from BibTeX fields to text"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_is_valid(field, value, valid):
    with pytest.raises(PluginError, match=f"(?s)^Task .* has {field} .*; valid: {valid}") as refused:
        Some(**GOOD | {field: value})
    assert repr(value) in str(refused.value)


def test_a_task_that_cannot_be_loaded_is_no_task():
    with pytest.raises(TypeError, match="abstract"):
        Task(**GOOD)
