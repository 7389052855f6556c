"""Tasks that are declared and have no record, such as those whose weights nobody here could fetch."""

from __future__ import annotations

from dataclasses import dataclass

from mechboard.records import TaskInfo


@dataclass(frozen=True)
class Declared:
    """What a task says of itself before anything was run on it."""

    name: str
    version: int
    info: TaskInfo

    @property
    def awaits(self) -> str:
        """What stands between it and its first record."""
        return "its weights" if self.info.tier == "paper" else "its first run"

    @property
    def command(self) -> str:
        """The command that takes the next step."""
        return f"bench {'pull' if self.info.tier == 'paper' else 'run --task'} {self.name}"
