"""The exact effect of every edge of a trained model, as `benchmarks/trained_effects.py` measured it.

effect(e) = mean over prompts of m(clean) - m(e alone carrying its value on the corrupt prompt)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mechboard.errors import ModelError

FILE = "effects.json"


def read_effects(folder: Path, edges: Sequence[str]) -> Float[Tensor, " edges"]:
    """Effects of these edges, in their order.

    Raises:
        ModelError: the file cannot be read, or it is about other edges.
    """
    try:
        effects = json.loads((folder / FILE).read_text(encoding="utf-8"))["effects"]
        found = dict(zip(effects, torch.tensor(list(effects.values()), dtype=torch.float32), strict=True))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"The effects in {str(folder)!r} cannot be read ({error}); restore {FILE}.") from error
    if odd := sorted(found.keys() ^ set(edges)):
        raise ModelError(
            f"The effects in {str(folder)!r} are of other edges than the model has ({odd[0]!r} is in one of the two alone); "
            f"restore {FILE}, or measure it again with benchmarks/trained_effects.py."
        )
    return torch.stack([found[edge] for edge in edges])
