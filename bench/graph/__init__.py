"""The fast core: a uniform decoder, its graph, patched runs and attribution. Public names."""

from .ablation import Ablation, AblationKind
from .config import DecoderConfig
from .cost import Cost, counting
from .decoder import Decoder
from .graph import Graph
from .metric_head import metric_gradient, metric_values
from .pairs import Metric, PromptPairs
from .patched_run import run_patched
from .patching import patch_each_edge
from .trace import input_gradients, record_outputs, record_tape

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
