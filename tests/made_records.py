"""Records made by hand, for tests of what is made from records; and a kind that no page has heard of."""

from mechboard.contract.kind import Kind
from mechboard.contract.measures import Definition, Definitions
from mechboard.contract.scores import Curve, Exhibit, Fact, Measure, TruthInfo
from mechboard.contract.task import Suite
from mechboard.kinds.circuit_exhibits import (
    Agreement,
    Circuit,
    ComparedEdge,
    Distribution,
    EdgePath,
    FoundEdge,
    GraphInfo,
    Interpolation,
    KeptCircuit,
    OperatingPoints,
    ScoreGroup,
)
from mechboard.kinds.feature_circuit import CircuitEdge, CircuitNode, Context, FeatureCircuit, PlaceSize, Promoted
from mechboard.kinds.feature_exhibits import Basis, Explanation, Linearity, PlaceEffects, SetCurve
from mechboard.leaderboard.declared import Declared
from mechboard.records import Cell, CostRecord, ErrorRecord, MethodInfo, Provenance, Record, TaskInfo

AUC = {"direction": "higher", "chance": 0.5, "oracle": 1.0}
CMD = {"direction": "lower", "oracle": 0.0}
CORRELATION = {"direction": "higher", "chance": 0.0, "oracle": 1.0}
PROVENANCE = Provenance(
    mechboard="0", command="bench run", started="s", python="3.12", packages={"torch": "2"}, git_commit=None,
    git_dirty=None, platform="p", cpu="c", threads=1, device="cpu",
)  # fmt: skip


def record(
    value, *, label="m", task="t", instance=0, seed=0, version=1, anchors=AUC, passes=None, status=None, kind="circuit",
    family="", level=None, tier="embedded", more=None, truth=True, curves=None, exhibits=None, adapter=None, notes=(),
    reason="m", twin="", quoted=(), assets=None, **method,
):  # fmt: skip
    """A cell whose headline is `auc` against the task's truth; failed if there is no value. `more` are other measures."""
    status = status or ("failed" if value is None else "done")
    done, own = status == "done", label.partition("@")[0]
    behind = f"@{adapter}" if adapter else ""
    headline = f"auc[{task}:true]" if truth else "auc"
    return Record(
        cell=Cell(
            method=own.partition("[")[0], label=own + behind, slug=own.replace("[", "+").rstrip("]") + behind,
            parameters={"steps": 10} if "[" in own else {}, parameters_passed={}, adapter=adapter, task=task,
            task_version=version, data_seed=instance, seed=seed,
        ),
        status=status,
        solution_id="1:a",
        scorer_id="1:b" if done else None,
        evaluation_id="1:c" if done else None,
        method=MethodInfo(**{"summary": "", "citation": {}, "deterministic": False, "reference": False} | method),
        task=TaskInfo(
            summary=f"summary of {task}", kind=kind, tier=tier, family=family or task, level=level, ranked=True,
            facts=(Fact(name="graph", text="2 layers"),) if done else (),
            truths=(TruthInfo(name=f"{task}:true", n_true=3, n_all=17, source="made up"),) if truth and done else (),
            twin=twin, quoted=quoted,
        ),
        headline=headline if done else None,
        measures={headline: Measure(value=value, of="3 / 17", **anchors), **(more or {})} if done else {},
        curves=curves or {},
        exhibits=exhibits or {},
        notes=notes,
        cost=cost(*passes) if passes else cost(2.0, 1.0) if done else None,
        error=None if done else ErrorRecord(type="E", message=reason, traceback="t"),
        provenance=PROVENANCE.model_copy(update={"assets": assets or {}}),
    )  # fmt: skip


def cost(forwards, backwards):
    return CostRecord(
        forwards=forwards, backwards=backwards, forward_sequences=1, backward_sequences=1, prompts=5, wall_seconds=1.0,
        evaluation_seconds=1.0, peak_memory_bytes=None,
    )  # fmt: skip


def declared(name, *, tier="paper", kind="circuit", **more):
    """A task without records."""
    info = TaskInfo(summary=f"summary of {name}", kind=kind, tier=tier, family=name, ranked=True, **more)
    return Declared(name, 1, info)


def measure(value, **anchors):
    return Measure(value=value, **(anchors or CORRELATION))


def suite(*tasks, apart=(), kind="circuit", name="s"):
    return Suite(name=name, version=1, summary="", kind=kind, tasks=tasks, apart=apart)


def of_methods(values, **more):
    """Records of several methods on tasks t0, t1, ...: label -> a value for each."""
    return [record(v, label=m, task=f"t{i}", **more) for m, row in values.items() for i, v in enumerate(row)]


def drawn_parts(task):
    """Curves and an exhibit, as scoring leaves them."""
    edges = (
        FoundEdge(name="input->a0.h0<q>", score=1.0, found=True, known=True),
        FoundEdge(name="input->m0", score=0.5, found=True, known=False),
        FoundEdge(name="m0->logits", score=None, found=False, known=True),
    )
    graph = GraphInfo(n_layers=2, n_heads=2, has_mlp=True, parallel=False, level="qkv")
    return {
        "curves": {
            f"roc[{task}:true]": Curve(
                x=(0.0, 0.2, 1.0), y=(0.0, 0.9, 1.0), x_label="false", y_label="true", title=f"ROC against {task}:true",
                chance=(0.0, 1.0),
            ),
            "faithfulness": Curve(
                x=(0.01, 0.1, 1.0), y=(0.0, 0.7, 1.0), x_label="share of edges", y_label="faithfulness",
                title="Faithfulness by share", log_x=True,
            ),
        },
        "exhibits": {"circuit": Circuit(graph=graph, edges=edges), **other_exhibits(task)},
    }  # fmt: skip


def other_exhibits(task):
    """One of each of the exhibits that are plots."""
    inside = ScoreGroup(name=f"in {task}:true", counts=(0, 3), n=3, mean=0.9, deviation=0.1)
    outside = ScoreGroup(name="outside", counts=(13, 1), n=14, mean=0.1, deviation=0.2)
    compared = tuple(ComparedEdge(name=f"input->m{i}", score=i / 2, effect=i / 3, known=i > 1) for i in range(3))
    way = EdgePath(name="input->m0", score=0.5, known=False, shares=(0.0, 0.5, 1.0), drops=(0.0, 0.1, 0.8))
    kept = (
        KeptCircuit(settings={"first": a, "second": b}, n_edges=5, true_rate=a, false_rate=b)
        for a in (0.5, 1.0)
        for b in (0.1, 0.2)
    )
    return {
        "distribution": Distribution(bounds=(-1.0, 0.0, 1.0), groups=(inside, outside), roles=(inside,)),
        "agreement": Agreement(measured="here", n_edges=17, r2=0.9, slope=0.7, intercept=0.0, edges=compared),
        "interpolation": Interpolation(paths=(way,)),
        "operating-points": OperatingPoints(truth=f"{task}:true", circuits=tuple(kept)),
    }


class Dreams(Kind):
    """A kind that exists here alone."""

    name = "dream"
    question = "Which method tells dreams apart?"
    lead = "Each cell says how clear a dream is."
    definitions = Definitions(
        {
            "clarity": Definition(direction="higher", chance=0.0, oracle=1.0),
            "haste": Definition(direction="lower", chance=9.0, oracle=1.0),
        }
    )
    shown = ("clarity", "haste")

    check = pack = unpack = score = facts = truths = None


Dreams.__abstractmethods__ = frozenset()


def know_dreams(monkeypatch):
    """Make the kind known by its name, as its entry point would."""
    import mechboard.kinds as kinds

    others = kinds.kind
    monkeypatch.setattr(kinds, "kind", lambda name: Dreams() if name == "dream" else others(name))


class Vision(Exhibit):
    """What was dreamt."""

    type: str = "vision"
    text: str

    drawing = "made_records:draw_vision"


def draw_vision(vision, *, title):
    return f'<p class="vision">{title}: {vision.text}</p>'


def dream(value, *, label="m", task="night", haste=3.0, **more):
    """A record of the kind that exists here alone."""
    made = record(value, label=label, task=task, kind="dream", truth=False, **more)
    if made.status != "done":
        return made
    clarity = Measure(value=value, direction="higher", chance=0.0, oracle=1.0)
    measures = {"clarity": clarity, "haste": Measure(value=haste, direction="lower", chance=9.0, oracle=1.0)}
    return made.model_copy(
        update={
            "headline": "clarity",
            "measures": measures,
            "exhibits": {"vision": Vision(text="a sea")},
            "curves": {"depth": Curve(x=(0.0, 1.0), y=(0.0, 1.0), x_label="hour", y_label="depth", title="Depth")},
        }
    )


EVIL_TOKEN = "<script>alert(1)</script>\"'&"


def feature_circuit_exhibit():
    """Three nodes at two places and positions, and two edges; a token that means ill."""
    contexts = (
        Context(before="the ", token="boy", behind=" runs", activation=4.2),
        Context(before="a ", token=EVIL_TOKEN, behind="", activation=1.0),
    )
    promoted = (Promoted(token="is", weight=1.5), Promoted(token="was", weight=0.25))
    nodes = (
        CircuitNode(place="embed", position=0, feature=7, score=0.8, label="a label", contexts=contexts,
                    promoted=promoted, link="https://www.neuronpedia.org/m/0-res/7"),
        CircuitNode(place="resid_0", position=1, feature=123456789, score=-0.4),
        CircuitNode(place="resid_0", position=1, feature=None, score=-0.1),
    )  # fmt: skip
    return FeatureCircuit(
        places=(PlaceSize(place="embed", n_features=8, error=False), PlaceSize(place="resid_0", n_features=2**30, error=True)),
        positions=2, words=("The", "boy"), nodes=nodes,
        edges=(CircuitEdge(source=0, target=1, effect=-0.6), CircuitEdge(source=0, target=2, effect=0.1)),
    )  # fmt: skip


def feature_exhibits():
    """One of each of the exhibits of a features task."""

    def curve(of, name, y, n=(1.0, 10.0, 1000.0), origin="measured"):
        return SetCurve(of=of, name=name, origin=origin, n_nodes=n, values=y)

    curves = (
        curve("faithfulness", "features", (0.0, 0.5, 1.0)),
        curve("faithfulness", "neurons", (0.0, 0.1, 0.9)),
        curve("faithfulness", "features", (0.2, 0.9), n=(10.0, 500.0), origin="published"),
        curve("faithfulness", "features", (0.0, 0.1), n=(1.0, 1000.0), origin="chance"),
        curve("completeness", "features", (0.9, 0.5, 0.0)),
        curve("completeness", "neurons", (1.0, 0.8, 0.1)),
    )
    places = (
        PlaceEffects(place="embed", correlation=0.9, slope=0.8, estimated=1.0, exact=0.9, nodes=("embed/7@0", "embed/3@1"),
                     estimates=(0.8, 0.2), effects=(0.7, 0.2)),
        PlaceEffects(place="resid_0", correlation=None, slope=None, estimated=-0.2, exact=0.1, nodes=("resid_0/error@1",),
                     estimates=(-0.2,), effects=(0.1,)),
    )  # fmt: skip
    return {
        "explanation": Explanation(curves=curves, source="a paper, figure 3"),
        "feature-circuit": feature_circuit_exhibit(),
        "linearity": Linearity(measured="here", bases=(Basis(name="features", places=places),)),
    }
