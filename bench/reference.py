"""Where another process finds a plugin: names and plain values, never the object."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import PluginError, UsageError


@dataclass(frozen=True)
class Reference:
    """`module:attribute` or `file.py:attribute`; it is called with `arguments` if there are any."""

    value: str
    arguments: tuple[str, ...] = ()

    def load(self) -> Any:
        """The object itself; raises whatever its module raises."""
        module, _, attribute = self.value.rpartition(":")
        found = getattr(import_file(Path(module)) if module.endswith(".py") else import_module(module), attribute)
        return found(*self.arguments) if self.arguments else found


def import_file(path: Path) -> ModuleType:
    """Import a loose Python file, once in a process.

    Raises:
        UsageError: there is no such file, or it is no Python file.
        PluginError: it does not run.
    """
    if not path.is_file():
        raise UsageError(f"--plugin {str(path)!r} is no file; valid: a Python file that defines methods or tasks.")
    name = f"mechboard_scratch_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--plugin {str(path)!r} is no Python file; valid: a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginError(f"--plugin {str(path)!r} does not run: {type(error).__name__}: {error}.") from error
    return module
