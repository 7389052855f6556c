"""The fast core: a uniform decoder, its graph, patched runs and attribution. Public names."""

from .ablation import Ablation, AblationKind
from .backward import input_gradients
from .config import DecoderConfig
from .cost import Cost, counting
from .decoder import Decoder
from .graph import Graph
from .metric_head import MetricGradient, metric_gradient, metric_values
from .pairs import Metric, PromptPairs
from .patched_run import run_patched
from .patching import patch_each_edge, single_edge_drops
from .span import Span
from .trace import record_outputs, record_tape

__all__ = [
    "Ablation",
    "AblationKind",
    "Cost",
    "Decoder",
    "DecoderConfig",
    "Graph",
    "Metric",
    "MetricGradient",
    "PromptPairs",
    "Span",
    "counting",
    "input_gradients",
    "metric_gradient",
    "metric_values",
    "patch_each_edge",
    "record_outputs",
    "record_tape",
    "run_patched",
    "single_edge_drops",
]
