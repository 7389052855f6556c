"""Where and with what a record was made: versions, commit, hardware, command; and the memory of a stretch of code."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mechboard

from . import Provenance

_PACKAGES = ("torch", "transformer-lens", "transformers", "numpy", "safetensors", "scipy")


def typed() -> str:
    """The command line that this process was started with."""
    return shlex.join(["bench", *sys.argv[1:]])


def collect(
    device: str, assets: Mapping[str, str], threads: int | None = None, command: str | None = None
) -> Provenance:
    """The provenance of a record made now.

    `threads` is torch's own number unless it is given, `command` what was typed.
    """
    import torch

    commit, dirty = _git(str(Path(mechboard.__file__).resolve().parent))
    return Provenance(
        mechboard=mechboard.__version__,
        command=command or typed(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        python=platform.python_version(),
        packages=_versions(),
        git_commit=commit,
        git_dirty=dirty,
        platform=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(),
        threads=torch.get_num_threads() if threads is None else threads,
        device=torch.cuda.get_device_name() if device.startswith("cuda") else device,
        assets=dict(assets),
    )


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@lru_cache(maxsize=8)
def _git(folder: str) -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the clone that mechboard runs from; None outside one."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    top = git("rev-parse", "--show-toplevel")
    if top is None or not (Path(top) / "bench" / "protocols.py").is_file():
        return None, None
    # Records lie in the clone too; writing one does not make the code dirty.
    changes = git("status", "--porcelain", "--", ".", ":(top,exclude)results")
    return git("rev-parse", "HEAD"), None if changes is None else bool(changes)


@lru_cache(maxsize=1)
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} x{os.cpu_count()}"


def reset_peak_memory() -> None:
    """Start measuring anew; does nothing where the system cannot (elsewhere than Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory() -> int | None:
    """Largest resident memory of the process since the last reset, in bytes; None if unknown."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peaks[0]) * 1024 if peaks else None
