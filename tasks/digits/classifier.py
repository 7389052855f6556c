"""A classifier of digits with one hidden layer, trained when a task is loaded, the same to the bit each time.

    logits = W2 relu(W1 x + b1) + b2        cross-entropy, Adam 1e-3, batches of 64 in an order drawn for each epoch

All that is drawn comes from one generator in a fixed order: W1, b1, W2, b2 (uniform between -1 and 1 over the root of the number
of inputs, as torch.nn.Linear draws), then the orders. Training runs in one thread, since sums that are split over threads are
rounded in another order. Another processor or version of torch may round differently and give another model of the same kind.
Source: Li, Davies, Nadeau 2023, appendix E, and the code that they released.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mechboard.protocols import Labelled

N_HIDDEN, RATE, BATCH = 50, 1e-3, 64


@contextmanager
def one_thread() -> Iterator[None]:
    """Computation of the block in one thread, whatever torch is set to."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train(samples: Labelled, *, n_classes: int, epochs: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights by the names of `EditableMlp`. Cost: `epochs` forwards and backwards of all samples."""
    n_inputs = samples.inputs.shape[1]
    weights = {
        "hidden": _drawn(n_inputs, (n_inputs, N_HIDDEN), generator),
        "hidden_bias": _drawn(n_inputs, (N_HIDDEN,), generator),
        "out": _drawn(N_HIDDEN, (N_HIDDEN, n_classes), generator),
        "out_bias": _drawn(N_HIDDEN, (n_classes,), generator),
    }
    w1, b1, w2, b2 = weights.values()
    optimiser = torch.optim.Adam(weights.values(), lr=RATE, fused=True)
    for _ in range(epochs):
        for batch in samples[torch.randperm(len(samples), generator=generator)].batches(BATCH):
            logits = torch.relu(batch.inputs @ w1 + b1) @ w2 + b2
            optimiser.zero_grad()
            torch.autograd.backward(torch.nn.functional.cross_entropy(logits, batch.labels))
            optimiser.step()
    return {name: weight.detach() for name, weight in weights.items()}


def _drawn(fan_in: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator).requires_grad_()
