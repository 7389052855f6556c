"""The two sides as processes: the environment of each, and one job run in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Side:
    """A script and the interpreter of the environment that it runs in."""

    name: str
    python: Path

    def run(self, task: str, workload: Path, **job: Any) -> dict[str, Any]:
        """One job in a process of its own: seconds, memory and values."""
        with tempfile.TemporaryDirectory() as folder:
            job_file, result_file = Path(folder) / "job.json", Path(folder) / "result.json"
            job_file.write_text(json.dumps({"task": task, "workload": str(workload), **job}), encoding="utf-8")
            command = [str(self.python), str(HERE / f"{self.name}.py"), str(job_file), str(result_file)]
            done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{self.name}: {task} ended with {done.returncode}\n{done.stderr[-3000:]}")
            result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
        print(f"  {task}: {self.name}", file=sys.stderr, flush=True)
        return result


def environment(folder: Path) -> Path:
    """The interpreter of AutoCircuit's virtual environment, which is made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / "requirements.txt")]
        subprocess.run(install, check=True)
    return python
