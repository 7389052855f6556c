"""What a method answered, as it is kept: its solution as tensors, what it cost, and the solution's identity.

One safetensors file; identity, cost, provenance and a hash of the tensors are in its metadata, so that an answer is
trusted by what it says of itself and by nothing beside it. Never a pickle: what comes out of a method's process is data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..errors import RecordError
from . import CostRecord, Provenance

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """A checked solution, packed by its kind."""

    solution_id: str
    tensors: Mapping[str, Tensor]
    cost: CostRecord
    provenance: Provenance


def pack(answer: Answer) -> bytes:
    """An answer as the content of a safetensors file."""
    from safetensors.torch import save

    tensors = {name: tensor.contiguous() for name, tensor in answer.tensors.items()}
    about = {
        "solution_id": answer.solution_id,
        "cost": answer.cost.model_dump_json(),
        "provenance": answer.provenance.model_dump_json(),
        "content": _hash(tensors),
    }
    packed: bytes = save(tensors, metadata=about)
    return packed


def unpack(content: bytes) -> Answer:
    """The answer in the content of a safetensors file.

    Raises:
        RecordError: it is none, it is cut off, or its tensors are not those that it was written with.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        # The format: eight bytes that give the length of a JSON header, then the header.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about, tensors = header["__metadata__"], load(content)
        answer = Answer(
            about["solution_id"],
            tensors,
            CostRecord.model_validate_json(about["cost"]),
            Provenance.model_validate_json(about["provenance"]),
        )
    except (SafetensorError, ValidationError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"A kept answer cannot be read ({type(error).__name__}); its cell runs again.") from error
    if about.get("content") != _hash(tensors):
        raise RecordError("A kept answer holds another solution than it was written with; its cell runs again.")
    return answer


def _hash(tensors: Mapping[str, Tensor]) -> str:
    import torch

    hashed = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        hashed.update(tensor.flatten().view(torch.uint8).numpy().data)
    return hashed.hexdigest()
