"""What features of the small model's dictionaries carry, measured: a truth for features.

- `variables`   what varies in the language, where it is said and read, what it drives, which task uses it;
- `texts`       text in which all of them vary independently; `flips` prompts in which one changes and nothing else;
- `separation`  how well each feature tells values apart; `causal` what of a behaviour goes with it;
- `rule`        from these to what a feature carries, and what is true or false for a task;
- `measure`     all of it for the dictionaries; `stored` the file of what was measured, and `truths` made of it.

`benchmarks/mini_carried.py` measures and writes the file.
"""

from .stored import path, truths

__all__ = ["path", "truths"]
