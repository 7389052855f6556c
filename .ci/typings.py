"""Link the top-level folders into .typings/mechboard as pyproject's package-dir maps them, for type checkers."""

import tomllib
from pathlib import Path

root = Path(__file__).resolve().parent.parent
mapping = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
target = root / ".typings" / "mechboard"
target.mkdir(parents=True, exist_ok=True)
for link in target.iterdir():
    link.unlink()
for entry in (root / mapping["mechboard"]).iterdir():
    if entry.name != "__pycache__":
        (target / entry.name).symlink_to(entry)
for package, folder in mapping.items():
    if package != "mechboard":
        (target / package.removeprefix("mechboard.")).symlink_to(root / folder)
