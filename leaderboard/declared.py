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
    def commands(self) -> tuple[str, ...]:
        """The commands that lead to it."""
        run = f"bench run --method NAME --task {self.name}"
        return (f"bench pull {self.name}", run) if self.info.tier == "paper" else (run,)
