"""CPU seconds and peak memory of what a process does, and the frame in which both sides run a task.

A job is a JSON file: the task's name, the workload's folder and what the task needs besides. What comes back is a JSON
file: seconds (user and system), peak memory of the whole process, and values for comparison.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def cpu() -> tuple[float, float]:
    """User and system seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


def timed(run: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """The cheapest of `repeats` runs; `value` is what the last one returned."""
    seconds = []
    for _ in range(repeats):
        before = cpu()
        value = run()
        seconds.append([now - then for now, then in zip(cpu(), before, strict=True)])
    user, system = min(seconds, key=sum)
    return {"user": user, "system": system, "value": value}


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def serve(load: Callable[[Path], Any], tasks: dict[str, Callable[[Any, dict[str, Any]], dict[str, Any]]]) -> None:
    """Run the job that the command line names, with one thread, and write its result."""
    job_file, result_file = map(Path, sys.argv[1:3])
    job = json.loads(job_file.read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    loaded = load(Path(job["workload"]))
    result = {"loaded": _status("VmRSS"), **tasks[job["task"]](loaded, job), "peak": _status("VmHWM")}
    result_file.write_text(json.dumps(result), encoding="utf-8")
