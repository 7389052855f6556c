"""Writes installable packages with a method or a task of one's own: what `bench new` leaves behind.

`examples/edge-bound` and `examples/plural-subject` are its output, and a test compares, so that they cannot go stale.
"""

from mechboard.scaffold.method import write_method_package
from mechboard.scaffold.task import write_task_package

__all__ = ["write_method_package", "write_task_package"]
