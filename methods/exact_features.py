"""Exact effects of features: every node patched alone, everything behind it run again.

    score(u) = m(clean) - m(clean | do(u = u_patch)),   mean over prompts

It is what `atp-features` and `ig-features` estimate. On a prompt on which a node does not change nothing is run, which with sparse
dictionaries is most of them. Neurons, which all change, are scored by it only where the task is of neurons.

Source: Marks et al. 2024, equation 2 and appendix C, which holds the estimates against it.
Cost: one forward, from its place on, per node and prompt on which the node changes.
Limits: patching one node at a time misses features that stand in for each other.
"""

from __future__ import annotations

from torch import Generator

from mechboard.features import exact_effects
from mechboard.protocols import FeatureProblem, FeatureScores, NoParameters, method

from .atp_features import atp_features


@method(name="exact-features", kinds=("features",), deterministic=True, citation=atp_features.citation)
def exact_features(problem: FeatureProblem, generator: Generator, parameters: NoParameters) -> FeatureScores:
    """Score every node by patching it."""
    return FeatureScores(exact_effects(problem))
