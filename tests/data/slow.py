"""Takes its time, and says how far it is."""

import time

import torch

from mechboard.protocols import EdgeScores, NoParameters, method, progress

STEPS, SECONDS = 40, 2.0


@method(name="slow", kinds=("circuit",), deterministic=True)
def slow(problem, generator, parameters: NoParameters):
    for done in range(STEPS):
        progress(done, STEPS, "naps")
        time.sleep(SECONDS / STEPS)
    return EdgeScores(torch.linspace(1, 0, problem.graph.n_edges))
