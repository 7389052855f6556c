"""Source trees of one git repository: a commit of it, and the working tree as it stands, each in a folder of its own.

Both are git worktrees, so that tags, attributes and filters work as in the clone, and nothing is built inside the
clone. They are removed when the block ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError

# A git hook sets these for its own repository, and git then looks nowhere else.
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True)
class Repository:
    """A clone, and where in it the package is."""

    top: Path
    package: Path

    @classmethod
    def around(cls, folder: Path) -> Repository:
        """The repository and the nearest `pyproject.toml` that a folder is in.

        Raises:
            UsageError: it is in no git repository, or there is no `pyproject.toml` above it.
        """
        top = Path(_git(folder, "rev-parse", "--show-toplevel", else_say="valid: a folder of a git repository"))
        here = folder.resolve()
        for place in (here, *here.parents):
            if (place / "pyproject.toml").is_file():
                return cls(top, place.relative_to(top))
            if place == top:
                break
        raise UsageError(
            f"{str(folder)!r} has no pyproject.toml in or above it; run this in the repository of an installable package."
        )

    def commit(self, name: str) -> str:
        """The commit at which the working tree left a branch (or tag, or commit): their merge base.

        Raises:
            UsageError: there is no such commit here, or no merge base.
        """
        advice = "valid: a branch, tag or commit that is here; in CI, check out with fetch-depth: 0"
        found = _git(self.top, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", given=name, else_say=advice)
        advice = f"it shares no history with HEAD; {advice}"
        return _git(self.top, "merge-base", found, "HEAD", given=name, else_say=advice)

    @contextmanager
    def tree(self, commit: str, folder: Path) -> Iterator[Path]:
        """The tree of a commit, in a new folder."""
        add = ("worktree", "add", "--quiet", "--detach", str(folder), commit)
        _git(self.top, *add, given=commit, else_say="the commit cannot be checked out")
        try:
            yield folder
        finally:
            remove = ("worktree", "remove", "--force", str(folder))
            _git(self.top, *remove, given=str(folder), else_say="run `git worktree prune`")

    def overlay_changes(self, tree: Path, *, without: Path) -> bool:
        """Bring uncommitted changes and new files of the working tree into a tree of HEAD; whether there are any.

        Left out are ignored files, the folder `without`, and a new `build` folder beside the package, which may hold
        modules that no longer exist.
        """
        look = (
            ("diff", "--name-only", "-z", "--no-renames", "HEAD"),
            ("ls-files", "--others", "--exclude-standard", "-z"),
        )
        changed, new = (_git(self.top, *listing, else_say="look at `git status`").split("\0") for listing in look)
        build = str(self.package / "build") + os.sep
        names = [name for name in (*changed, *(n for n in new if not n.startswith(build))) if name]
        names = [name for name in names if not (self.top / name).is_relative_to(without)]
        for name in names:
            source, target = self.top / name, tree / name
            target.unlink(missing_ok=True)
            if source.is_symlink() or source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        return bool(names)


def _git(folder: Path, *arguments: str, given: str | None = None, else_say: str) -> str:
    """What git prints.

    Raises:
        UsageError: it fails, or there is no git.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, env=environment)
    except OSError as error:
        raise UsageError(f"git does not run here ({error.strerror}); install it.") from error
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise UsageError(f"git cannot use {given or str(folder)!r}{f' ({said})' if said else ''}; {else_say}.")
    return done.stdout.removesuffix("\n")
