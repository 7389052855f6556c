"""Reads idx files, the format of MNIST: arrays of bytes, packed with gzip or not.

Two zero bytes, the type (8: unsigned bytes), the number of dimensions, each dimension as a big-endian 32-bit number, then the
values, the last dimension fastest.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mechboard.errors import AssetError

_GZIP, _BYTES = b"\x1f\x8b", 8


def read_idx(path: Path, *, dimensions: int) -> UInt8[Tensor, "*shape"]:
    """The array of a file.

    Raises:
        AssetError: the file cannot be read, is no idx file of bytes with that many dimensions, or is cut off.
    """
    raw = _unpacked(path)
    if len(raw) < 4 or raw[:4] != bytes((0, 0, _BYTES, dimensions)):
        raise AssetError(
            f"{str(path)!r} begins with {raw[:4].hex(' ') or 'nothing'}; valid: 00 00 08 {dimensions:02x}, an idx file of bytes with "
            f"{dimensions} dimension{'s' if dimensions > 1 else ''}; fetch it again."
        )
    start = 4 + 4 * dimensions
    if len(raw) < start:
        raise AssetError(f"{str(path)!r} ends within its header, after {len(raw)} bytes; fetch it again.")
    shape = struct.unpack_from(f">{dimensions}I", raw, 4)
    if len(raw) - start != prod(shape):
        said = " x ".join(map(str, shape))
        raise AssetError(
            f"{str(path)!r} holds {len(raw) - start:,} values, its header says {said} = {prod(shape):,}; fetch it again."
        )
    return torch.from_numpy(np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape).copy())


def _unpacked(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(_GZIP) else raw
    except (OSError, EOFError, zlib.error) as error:
        raise AssetError(f"{str(path)!r} cannot be read ({error}); fetch it again.") from error
