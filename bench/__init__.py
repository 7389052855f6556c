"""mechboard: a benchmark and leaderboard for mechanistic-interpretability methods.

Importing this package imports no torch; the graph engine is in `mechboard.graph`, the plugin
contract in `mechboard.protocols`.
"""

# An editable install makes `bench` importable too. A method declared by `bench.protocols` would be of another class than
# the registry's, and no method to it.
if __name__ != "mechboard":
    raise ImportError("This folder is the package `mechboard`; import it by that name.")

from mechboard.errors import BenchError

__version__ = "0.1.0"
__all__ = ["BenchError", "__version__"]
