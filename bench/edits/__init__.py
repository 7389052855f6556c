"""What a removal task hands to a method and what comes back: a model that can be edited, samples, an edit."""

from .adapted import circuit_problem
from .decoder import EditableDecoder
from .edit import EdgeCuts, Edit, Edited, WeightChange
from .editable import Editable
from .expressed import as_decoder
from .mlp import EditableMlp
from .problem import RemovalProblem
from .samples import Labelled, Samples, Text

__all__ = [
    "EdgeCuts",
    "Edit",
    "Editable",
    "EditableDecoder",
    "EditableMlp",
    "Edited",
    "Labelled",
    "RemovalProblem",
    "Samples",
    "Text",
    "WeightChange",
    "as_decoder",
    "circuit_problem",
]
