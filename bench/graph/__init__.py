"""The fast core: a uniform decoder, its graph, patched runs and attribution. Public names."""

from mechboard.graph.ablation import Ablation, AblationKind
from mechboard.graph.config import DecoderConfig
from mechboard.graph.cost import Cost, counting
from mechboard.graph.decoder import Decoder
from mechboard.graph.graph import Graph
from mechboard.graph.metric_head import metric_gradient, metric_values
from mechboard.graph.pairs import Metric, PromptPairs
from mechboard.graph.patching import patch_each_edge, run_patched
from mechboard.graph.trace import input_gradients, record_outputs, record_tape

__all__ = [
    "Ablation",
    "AblationKind",
    "Cost",
    "Decoder",
    "DecoderConfig",
    "Graph",
    "Metric",
    "PromptPairs",
    "counting",
    "input_gradients",
    "metric_gradient",
    "metric_values",
    "patch_each_edge",
    "record_outputs",
    "record_tape",
    "run_patched",
]
