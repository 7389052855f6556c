"""What a check comes to, for plugins of any sort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class CheckFailed(AssertionError):
    """A plugin breaks the contract; the message says how and what to do."""


class NotAsked(Exception):
    """A check has nothing to say of this plugin; the message says why."""


@dataclass(frozen=True)
class Result:
    """Outcome of one check: `passed`, `failed`, `error` or `not asked`."""

    check: str
    outcome: str
    detail: str

    @property
    def good(self) -> bool:
        """Whether the plugin keeps what the check asks."""
        return self.outcome in ("passed", "not asked")


def outcome(name: str, check: Callable[[], str]) -> Result:
    """Make one check; whatever it raises is an error of the plugin."""
    try:
        return Result(name, "passed", check())
    except NotAsked as reason:
        return Result(name, "not asked", str(reason))
    except CheckFailed as error:
        return Result(name, "failed", str(error))
    except (Exception, SystemExit) as error:
        return Result(name, "error", f"{type(error).__name__}: {error}")
