"""Trains the small GPT.

    python -m mechboard.ground_truth.mini.train --work WORK --out OUT

GPT-2's architecture, 4 layers of 4 heads, width 128, 64 positions; AdamW on next-token cross-entropy over the
corpus, batches in the order of its sequences. `WORK` keeps a checkpoint and the loss curve: the same command
goes on where it stopped and ends at the same weights. `OUT` gets weights, configuration and tokenizer in Hugging
Face's format, with the loss curve; `benchmarks/mini_card.py` measures them and writes the card.
About 25 minutes on two cores; a GPU is used if there is one.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mechboard.errors import UsageError

from .corpus import LENGTH, sequences
from .vocabulary import BOS, UNKNOWN, VOCABULARY, tokenizer

STEPS, BATCH, RATE, WARMUP = 8000, 48, 3e-3, 200
_EVERY = 100
_HELD_BACK = 96
_SHAPE = {"n_layer": 4, "n_head": 4, "n_embd": 128}
_SCALE = 0.1  # of initial weights; at GPT-2's 0.02, copying a word from the context is learned far later


def new_model(seed: int) -> Any:
    """An untrained GPT-2 of our shape."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    bos = VOCABULARY.index(BOS)
    config = GPT2Config(
        vocab_size=len(VOCABULARY), n_positions=LENGTH, bos_token_id=bos, eos_token_id=None,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=_SCALE, **_SHAPE,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def next_token_loss(model: Any, ids: Tensor) -> Tensor:
    """Mean cross-entropy of each token after the first, in nats."""
    logits = model(input_ids=ids).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def rate(step: int, steps: int) -> float:
    """Learning rate: a linear warm-up, then a half cosine down to a fiftieth."""
    rising = min(1.0, (step + 1) / WARMUP)
    return RATE * rising * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)


class Training:
    """A model on its way, in a folder that it can go on from.

    Raises:
        UsageError: the folder holds a training with other settings or another vocabulary.
    """

    def __init__(self, work: Path, *, steps: int, batch: int, seed: int, device: str) -> None:
        self.work, self.steps, self.batch, self.seed, self.device = work, steps, batch, seed, device
        self.model = new_model(seed).to(device)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=RATE, weight_decay=0.01, betas=(0.9, 0.98))
        self.step, self.seconds = 0, 0.0
        self.curve: list[tuple[int, float, float]] = []
        work.mkdir(parents=True, exist_ok=True)
        if self._checkpoint.is_file():
            state = torch.load(self._checkpoint, map_location=device, weights_only=True)
            if state["settings"] != self._settings:
                raise UsageError(
                    f"{str(work)!r} holds a training with other settings ({state['settings']}; now {self._settings}); "
                    "give those again or another folder."
                )
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]

    @property
    def _checkpoint(self) -> Path:
        return self.work / "checkpoint.pt"

    @property
    def _settings(self) -> dict[str, int | str]:
        words = hashlib.sha256(" ".join(VOCABULARY).encode()).hexdigest()[:12]
        return {"steps": self.steps, "batch": self.batch, "seed": self.seed, "vocabulary": words}

    def _save(self) -> None:
        state = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}
        state |= {"settings": self._settings, "step": self.step, "seconds": self.seconds, "curve": self.curve}
        torch.save(state, self.work / "checkpoint.new")
        os.replace(self.work / "checkpoint.new", self._checkpoint)

    def run(self, *, until: int | None = None, every: int = _EVERY) -> None:
        """Train to the end, or to step `until`, with a checkpoint and a point of the curve every `every` steps."""
        begun, losses = time.perf_counter() - self.seconds, []
        while self.step < (until or self.steps):
            for group in self.optimiser.param_groups:
                group["lr"] = rate(self.step, self.steps)
            ids = sequences("train", self.step * self.batch, self.batch).to(self.device)
            loss = next_token_loss(self.model, ids)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            losses.append(float(loss.detach()))
            self.step += 1
            if self.step % every == 0 or self.step == self.steps:
                self.curve.append((self.step, sum(losses) / len(losses), self.held_back_loss()))
                self.seconds = time.perf_counter() - begun
                losses = []
                self._save()
                print(f"{self.step:5d} loss {self.curve[-1][1]:.4f} held back {self.curve[-1][2]:.4f}  "
                      f"{self.seconds:.0f}s", flush=True)  # fmt: skip

    @torch.no_grad()
    def held_back_loss(self) -> float:
        """Mean loss on sequences that are not trained on."""
        ids = sequences("held back", 0, _HELD_BACK).to(self.device)
        return float(next_token_loss(self.model, ids))

    def publish(self, out: Path) -> None:
        """Write weights, configuration, tokenizer and loss curve."""
        out.mkdir(parents=True, exist_ok=True)
        self.model.cpu().eval().save_pretrained(out)
        (out / "generation_config.json").unlink(missing_ok=True)
        about = {"steps": self.steps, "batch": self.batch, "seed": self.seed, "seconds": round(self.seconds),
                 "device": self.device, "parameters": sum(p.numel() for p in self.model.parameters())}  # fmt: skip
        _write_json(out / "training.json", about)
        tokenizer().save(str(out / "tokenizer.json"))
        about = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "unk_token": UNKNOWN,
                 "model_max_length": LENGTH}  # fmt: skip
        _write_json(out / "tokenizer_config.json", about)
        with (out / "loss.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("step", "loss", "held_back_loss"))
            rows.writerows((step, f"{loss:.4f}", f"{held:.4f}") for step, loss, held in self.curve)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Train, or go on training, and publish."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        training = Training(arguments.work, steps=arguments.steps, batch=BATCH, seed=arguments.seed, device=device)
    except UsageError as error:
        parser.error(str(error))
    training.run()
    training.publish(arguments.out)


if __name__ == "__main__":
    main()
