"""What a method answered, as it is kept: its scores, what they cost, and the identity of the solution that they are.

One safetensors file; identity, cost, provenance and a hash of the scores are in its metadata, so that an answer is
trusted by what it says of itself and by nothing beside it. Never a pickle: what comes out of a method's process is data.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mechboard.errors import RecordError
from mechboard.records import CostRecord, Provenance

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """A validated solution."""

    solution_id: str
    scores: Float[Tensor, " edges"]
    cost: CostRecord
    provenance: Provenance


def pack(answer: Answer) -> bytes:
    """An answer as the content of a safetensors file."""
    from safetensors.torch import save

    scores = answer.scores.contiguous()
    about = {
        "solution_id": answer.solution_id,
        "cost": answer.cost.model_dump_json(),
        "provenance": answer.provenance.model_dump_json(),
        "scores": _hash(scores),
    }
    packed: bytes = save({"scores": scores}, metadata=about)
    return packed


def unpack(content: bytes) -> Answer:
    """The answer in the content of a safetensors file.

    Raises:
        RecordError: it is none, it is cut off, or its scores are not those that it was written with.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        # The format: eight bytes that give the length of a JSON header, then the header.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about, scores = header["__metadata__"], load(content)["scores"]
        answer = Answer(
            about["solution_id"],
            scores,
            CostRecord.model_validate_json(about["cost"]),
            Provenance.model_validate_json(about["provenance"]),
        )
    except (SafetensorError, ValidationError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"A kept answer cannot be read ({type(error).__name__}); its cell runs again.") from error
    if about["scores"] != _hash(scores):
        raise RecordError("A kept answer holds other scores than it was written with; its cell runs again.")
    return answer


def _hash(scores: Tensor) -> str:
    return hashlib.sha256(scores.numpy().tobytes()).hexdigest()
