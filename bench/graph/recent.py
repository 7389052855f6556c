"""A table that forgets what was not used for longest, so that it stays within a size.

__all__ = ["Recent"]
"""

from __future__ import annotations

from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """Values by key, of at most `max_bytes` after each `trim`.

    Example:
        >>> recent = Recent[str, str](2)
        >>> for name in ("a", "b", "c"):
        ...     recent.put(name, name.upper(), 1)
        >>> recent.get("a")
        'A'
        >>> recent.trim()
        >>> recent.get("b"), recent.get("a")
        (None, 'A')
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._held: dict[_Key, tuple[_Value, int]] = {}

    def get(self, key: _Key) -> _Value | None:
        """The value, which counts as used now, if it is still there."""
        found = self._held.pop(key, None)
        if found is None:
            return None
        self._held[key] = found
        return found[0]

    def held(self, key: _Key) -> _Value:
        """The value of a key that was put or got since the last `trim`."""
        return self._held[key][0]

    def put(self, key: _Key, value: _Value, size: int) -> None:
        """Hold a value of this many bytes, in place of an older one of the key."""
        self._bytes += size - self._held.pop(key, (value, 0))[1]
        self._held[key] = (value, size)

    def trim(self) -> None:
        """Forget the values that were not used for longest until the rest fits."""
        while self._bytes > self._max_bytes:
            self._bytes -= self._held.pop(next(iter(self._held)))[1]
