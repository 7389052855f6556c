"""What every recipe of a trained-in model shares: the optimiser's loop, the accuracy, the files that are written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechboard.graph.export import to_huggingface

from ..cards import CARD, hashes
from .patched_model import PatchedTransformer

BATCH = 192
ACCEPTED = 0.97
_RATE, _WARMUP = 2e-3, 100


def fit(
    model: PatchedTransformer, losses: Callable[[int], dict[str, Tensor]], *, steps: int, log_every: int = 100
) -> PatchedTransformer:
    """Minimise the sum of the losses, which are made for each step, and print them every `log_every` steps."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    begun = time.perf_counter()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / _WARMUP) * max(0.02, min(1.0, 2.0 * (1 - step / steps)))
        found = losses(step)
        optimiser.zero_grad()
        total = torch.stack(list(found.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % log_every == 0 or step == steps - 1:
            line = " ".join(f"{name} {value:.4f}" for name, value in found.items())
            print(f"{step:5d} {line}  {time.perf_counter() - begun:.0f}s", flush=True)
    return model.eval()


def accuracy(logits: Float[Tensor, "batch vocabulary"], answer: Float[Tensor, "batch vocabulary"]) -> float:
    """Share of prompts whose first choice is an answer."""
    return float((answer.gather(1, logits.argmax(1, keepdim=True)) > 0).float().mean())


def save(model: PatchedTransformer, card: Mapping[str, Any], tokens: Int[Tensor, "batch position"], out: Path) -> None:
    """Write weights in GPT-2 format and the card, with the hashes of the files.

    Raises:
        RuntimeError: on `tokens` the decoder's logits are not the trained model's.
    """
    decoder = model.decoder()
    with torch.no_grad():
        difference = float((decoder(tokens)[:, -1] - model(tokens)[0]).abs().max())
    if difference > 1e-3:
        raise RuntimeError(f"The decoder's logits differ by {difference:.2g} from the trained model's.")
    to_huggingface(decoder).save_pretrained(out)
    (out / "generation_config.json").unlink(missing_ok=True)
    (out / CARD).write_text(json.dumps({**card, "files": hashes(out)}, indent=1) + "\n", encoding="utf-8")


def refuse_unless_accepted(found: Mapping[str, float]) -> None:
    """Leave with the worst accuracy if one is under `ACCEPTED`."""
    print(json.dumps(dict(found), indent=1))
    worst = min(found, key=lambda name: found[name])
    if found[worst] < ACCEPTED:
        raise SystemExit(
            f"Refused: {worst!r} is {found[worst]:.3f}, under {ACCEPTED}; train longer or with another seed."
        )
