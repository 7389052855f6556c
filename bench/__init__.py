"""mechboard: a benchmark and leaderboard for mechanistic-interpretability methods.

Importing this package imports no torch; the graph engine is in `mechboard.graph`, the plugin
contract in `mechboard.protocols`.
"""

if __name__ != "mechboard":
    raise ImportError("This folder is the package `mechboard`; install it (pip install -e .) and import mechboard.")

from mechboard.errors import BenchError

__version__ = "0.1.0"
__all__ = ["BenchError", "__version__"]
