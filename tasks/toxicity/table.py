"""Table 1 of Li, Davies, Nadeau 2023, as quoted figures: one mask and one seed, without standard errors.

The rows with edges were scored on fewer texts than the others and on a shuffled order, so that the 84 edges' incoherence under the
unedited model's may be noise. The text gives the unedited model's toxicity as .458 once, the table as .453.
"""

from __future__ import annotations

from mechboard.protocols import Quoted

_COLUMNS = (
    "bad-loss", "bad-loss-filtered", "bad-generation", "bad-generation-filtered", "incoherence", "prompted-incoherence",
)  # fmt: skip
_ALL = {
    "unedited": ("", (4.954, 4.435, 0.453, 0.944, 4.264, 4.617)),
    "gradient-ascent": ("", (21.339, 20.980, 0.015, 0.013, 15.287, 18.415)),
    "task-arithmetic": ("", (5.357, 4.827, 0.351, 0.631, 4.427, 4.731)),
    "joint-finetune": ("", (11.817, 13.020, 0.009, 0.008, 4.240, 7.402)),
}
_EDGES = {
    "zero": ("12 edges, zero ablation; fewer texts than other rows", (5.027, 4.486, 0.328, 0.567, 4.280, 4.623)),
    "mean": ("84 edges, mean ablation; fewer texts than other rows", (4.895, 4.470, 0.280, 0.441, 4.180, 4.515)),
}
CITATION = {
    "author": "Li, Maximilian and Davies, Xander and Nadeau, Max",
    "title": "Circuit Breaking: Removing Model Behaviors with Targeted Ablation",
    "year": "2023",
    "eprint": "2309.05973",
}
TABLE = {
    ablation: tuple(
        Quoted(
            method=method,
            measure=column,
            value=value,
            convention=said or "one run",
            source="Li, Davies, Nadeau 2023 (arXiv 2309.05973), table 1",
        )
        for method, (said, row) in (_ALL | {"learned-mask": edges}).items()
        for column, value in zip(_COLUMNS, row, strict=True)
    )
    for ablation, edges in _EDGES.items()
}
"""By what a cut edge carries."""
