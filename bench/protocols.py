"""Everything that a plugin imports: the decorator `method`, the base class `Task`, and what they exchange.

A *method* is a function of a problem, a random generator and its parameters, made known by the decorator `method`.
A *task* is an object of a dataclass that derives from `Task`. Both are registered by an entry point, groups
`mechboard.methods` and `mechboard.tasks`, value `module:attribute`.

A method that takes long says how far it is, `progress(done, total, "edges")`, in a loop that turns every few seconds or
more often: the run shows it and how long the cell will take.
"""

from .contract.method import Method, NoParameters, method
from .contract.progress import progress
from .contract.scores import Curve, Quoted
from .contract.task import Instance, Suite, Task
from .edits import EdgeCuts, Editable, EditableDecoder, EditableMlp, Labelled, RemovalProblem, Text, WeightChange
from .errors import Unsupported
from .features import Dictionaries, FeatureEdges, FeatureProblem, FeatureScores, FeatureTruth
from .graph.problem import CircuitProblem, Circuits, EdgeScores, Truth

__all__ = [
    "CircuitProblem",
    "Circuits",
    "Curve",
    "Dictionaries",
    "EdgeCuts",
    "EdgeScores",
    "Editable",
    "EditableDecoder",
    "EditableMlp",
    "FeatureEdges",
    "FeatureProblem",
    "FeatureScores",
    "FeatureTruth",
    "Instance",
    "Labelled",
    "Method",
    "NoParameters",
    "Quoted",
    "RemovalProblem",
    "Suite",
    "Task",
    "Text",
    "Truth",
    "Unsupported",
    "WeightChange",
    "method",
    "progress",
]
