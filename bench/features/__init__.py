"""What a features task hands to a method and what comes back: a model written in features, nodes, and their effects."""

from .autoencoder import Autoencoder
from .dictionary import Dictionary, Identity
from .edge_effects import edge_effects
from .effects import Estimated, Gradient, Runs, linear_effects
from .exact import exact_effects
from .gradients import gradients, integrated_gradient
from .nodes import Node, Nodes
from .places import Place, all_places
from .problem import FeatureEdges, FeatureProblem, FeatureScores
from .splice import Spliced, splice
from .store import Dictionaries, Stored
from .truth import FeatureTruth

__all__ = [
    "Autoencoder",
    "Dictionaries",
    "Dictionary",
    "Estimated",
    "FeatureEdges",
    "FeatureProblem",
    "FeatureScores",
    "FeatureTruth",
    "Gradient",
    "Identity",
    "Node",
    "Nodes",
    "Place",
    "Runs",
    "Spliced",
    "Stored",
    "all_places",
    "edge_effects",
    "exact_effects",
    "gradients",
    "integrated_gradient",
    "linear_effects",
    "splice",
]
