"""The kind `removal`: what an edit may be, what is reported of it, what a method may see, and that no edit leaks."""

import json
from types import SimpleNamespace

import pytest
import torch
from removal_problems import classifier, language

from mechboard.edits import circuit_problem
from mechboard.errors import InvalidSolution, PluginError, Unsupported
from mechboard.graph import Ablation, PromptPairs
from mechboard.kinds import kind
from mechboard.methods.activation_patching import activation_patching
from mechboard.methods.eap import eap
from mechboard.metrics.frontier import Axis
from mechboard.metrics.language import LanguageExamination
from mechboard.protocols import EdgeCuts, EditableDecoder, Instance, RemovalProblem, Text, WeightChange
from mechboard.runs.workers.cell import fingerprint

KIND = kind("removal")
TASK = SimpleNamespace(chance={})


def score(instance, edit):
    return KIND.score(TASK, instance, KIND.unpack(KIND.pack(KIND.check(edit, instance.problem))))


def cuts(instance, *sets):
    cut = torch.zeros(len(sets), instance.problem.model.n_edges, dtype=torch.bool)
    for row, edges in enumerate(sets):
        cut[row, list(edges)] = True
    return EdgeCuts(cut=cut)


def test_a_cut_over_its_budget_is_invalid():
    instance = language(budgets=(2, 4), marked=2)
    KIND.check(cuts(instance, {0, 1}, {0}), instance.problem)
    with pytest.raises(InvalidSolution, match="cut 3 edges at a budget of 2"):
        KIND.check(cuts(instance, {0, 1, 2}, {0}), instance.problem)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (None, "returned NoneType"),
        (EdgeCuts(cut=torch.zeros(1, 207, dtype=torch.bool)), "a set for each of the budgets"),
        (EdgeCuts(cut=torch.zeros(2, 207)), "cuts as booleans"),
        (EdgeCuts(cut=torch.zeros(2, 207, dtype=torch.bool), scores=torch.zeros(3)), "one finite number or NaN"),
        (WeightChange(change={"nothing": torch.zeros(1)}, scales=(1.0,)), "changed 'nothing'"),
        (WeightChange(change={"unembed_bias": torch.zeros(2)}, scales=(1.0,)), "changed 'unembed_bias'"),
        (WeightChange(change={}, scales=()), "rising finite numbers"),
        (WeightChange(change={}, scales=(1.0, 0.5)), "rising finite numbers"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_what_is_no_edit_is_invalid_and_says_what_is_one(edit, said):
    with pytest.raises(InvalidSolution, match=said):
        KIND.check(edit, language().problem)


def test_weights_that_diverged_are_invalid_and_said_to_have():
    problem = language().problem
    name, tensor = next(iter(problem.model.parameters().items()))
    with pytest.raises(InvalidSolution, match="training diverged"):
        KIND.check(WeightChange(change={name: tensor * torch.nan}, scales=(1.0,)), problem)


@pytest.mark.parametrize("budgets", [(), (0, 3), (5, 3), (3, 3), (3, 10**6)])
def test_budgets_that_the_graph_cannot_hold_or_that_do_not_rise_are_refused(budgets):
    problem = language().problem
    with pytest.raises(PluginError, match="rising numbers of edges"):
        RemovalProblem(model=problem.model, bad=problem.bad, keep=problem.keep, budgets=budgets, batch_size=4)


def test_the_marked_budget_is_reported_and_not_the_best_one():
    instance = language(budgets=(4, 16), marked=4)
    everything = range(16)
    evaluation = score(instance, cuts(instance, (), everything))
    assert evaluation.measures["edges"].value == 0
    assert evaluation.measures["efficacy"].value == 0
    assert evaluation.measures["frontier"].of == "2 edits"


def test_a_change_of_weights_is_reported_at_its_last_scale():
    instance = language()
    change = {name: torch.randn_like(tensor) for name, tensor in instance.problem.model.parameters().items()}
    evaluation = score(instance, WeightChange(change=change, scales=(0.0, 1.0)))
    assert evaluation.measures["other-accuracy"].value < 0.5
    assert evaluation.curves["other-accuracy by scale"].y[1] == 1.0  # nothing has changed at scale 0


def test_cutting_nothing_scores_zero_and_leaves_every_measure_as_it_was():
    instance = language()
    evaluation = score(instance, cuts(instance, (), ()))
    assert evaluation.measures["frontier"].value == 0
    columns = evaluation.exhibits["columns"].columns
    assert all(len(set(column.values)) == 1 for column in columns)


def test_the_known_edges_are_found_by_score_with_its_sign():
    instance = language(truth=True)
    known = instance.truths[0].edges.float()
    at = {}
    for sign in (1, -1):
        edit = EdgeCuts.of_scores(sign * known, instance.problem.budgets)
        at[sign] = score(instance, edit).measures["auc[by-hand:first]"].value
    assert at == {1: 1.0, -1: 0.0}


def test_a_method_sees_the_known_edges_only_if_it_says_so():
    instance = language(truth=True)
    assert KIND.reveal(instance, frozenset()).truth is None
    assert torch.equal(KIND.reveal(instance, frozenset({"truth"})).truth, instance.truths[0].edges)
    with pytest.raises(Unsupported, match="no edges of the behaviour are known"):
        KIND.reveal(language(), frozenset({"truth"}))


@pytest.mark.parametrize("ablation", ["zero", "mean-global"])
@pytest.mark.parametrize("level", ["head", "qkv"])
def test_edge_attribution_of_the_adapted_problem_is_the_gradient_of_the_mask(ablation, level):
    problem = language(ablation, level, budgets=(4, 16)).problem
    scores = eap(circuit_problem(problem), torch.Generator()).scores
    kept = torch.ones(problem.model.n_edges, requires_grad=True)
    objective = problem.losses(problem.keep, kept=kept).mean() - 0.2 * problem.losses(problem.bad, kept=kept).mean()
    objective.backward()
    assert torch.allclose(scores, kept.grad, atol=1e-5)


def test_exact_patching_of_the_adapted_problem_is_what_a_cut_does():
    problem = language().problem
    drops = activation_patching(circuit_problem(problem), torch.Generator()).scores
    edge = int(drops.abs().argmax())

    def objective(kept):
        return problem.losses(problem.keep, kept=kept).mean() - 0.2 * problem.losses(problem.bad, kept=kept).mean()

    cut = torch.ones(problem.model.n_edges)
    cut[edge] = 0
    assert float(objective(None) - objective(cut)) == pytest.approx(float(drops[edge]), abs=1e-5)


def test_an_adapted_method_cuts_what_lowers_the_objective_most_and_keeps_its_name():
    (adapter,) = KIND.adapters
    problem = language(truth=True).problem
    adapted = adapter(eap)
    edit = KIND.check(adapted(problem, torch.Generator()), problem)
    strongest = edit.scores.topk(problem.budgets[0]).indices
    assert adapted.name == "eap"
    assert set(edit.cut[0].nonzero().flatten().tolist()) == set(strongest.tolist())
    assert edit.cut.sum(1).tolist() == list(problem.budgets)


def test_a_classifier_has_no_circuit_methods():
    with pytest.raises(Unsupported, match="needs a transformer"):
        circuit_problem(classifier().problem)


@pytest.mark.parametrize("make", [language, classifier])
def test_no_edit_leaks_into_the_model_that_the_next_cell_gets(make):
    instance = make()
    before = fingerprint(instance.problem)
    unedited = score(instance, cuts(instance, (), ())).measures
    n = instance.problem.model.n_edges
    score(instance, EdgeCuts.of_scores(torch.randn(n), instance.problem.budgets))
    change = {name: torch.ones_like(t) for name, t in instance.problem.model.parameters().items()}
    score(instance, WeightChange(change=change, scales=(1.0, 2.0)))
    assert fingerprint(instance.problem) == before
    assert score(instance, cuts(instance, (), ())).measures == unedited


def test_parameters_are_copies_so_that_training_them_leaves_the_model_alone():
    for instance in (language(), classifier()):
        before = fingerprint(instance.problem)
        for tensor in instance.problem.model.parameters().values():
            tensor.add_(1.0)
        assert fingerprint(instance.problem) == before


def spoken(instance, scorer):
    """The same instance, examined on what the model says."""
    held = instance.held_out
    examination = LanguageExamination(
        removed=(Axis("bad-loss", 20.0),), kept=(Axis("incoherence", 20.0),), marked=4,
        texts={"bad-loss": held.bad, "incoherence": held.other}, prompts={"bad-generation": held.bad.tokens[:, :6]},
        n_new=4, scorer=scorer, decode=lambda ids: " ".join(map(str, ids)),
    )  # fmt: skip
    return Instance(problem=instance.problem, held_out=examination, truths=instance.truths)


def test_harmful_completions_stand_beside_the_record_and_never_in_it():
    harmful = spoken(language(), lambda texts: [0.9] * len(texts))
    evaluation = score(harmful, cuts(harmful, (), range(9)))
    assert evaluation.exhibits["completions"].shown == ()
    assert evaluation.exhibits["completions"].harmless_after == 0
    rows = [json.loads(line) for line in evaluation.files["completions.jsonl"].splitlines()]
    assert len(rows) == len(harmful.held_out.prompts["bad-generation"])
    assert "files" not in evaluation.model_dump()
    assert not any(row["before"] in evaluation.model_dump_json() for row in rows)


def test_harmless_completions_are_shown_before_and_after():
    harmless = spoken(language(), lambda texts: [0.0] * len(texts))
    shown = score(harmless, cuts(harmless, (), range(9))).exhibits["completions"]
    assert len(shown.shown) == shown.harmless_before == shown.harmless_after == shown.n
    assert all(each.before == each.after for each in shown.shown)  # nothing is cut at the marked budget


def test_a_harmless_completion_of_a_harmful_prompt_is_not_shown():
    instance = language()
    prompts = {" ".join(map(str, row.tolist())) for row in instance.held_out.bad.tokens[:, :6]}
    spoke = spoken(instance, lambda texts: [0.9 if text in prompts else 0.0 for text in texts])
    evaluation = score(spoke, cuts(spoke, (), range(9)))
    assert evaluation.exhibits["completions"].shown == ()
    assert evaluation.exhibits["completions"].harmless_after == evaluation.exhibits["completions"].n
    assert not any(prompt in evaluation.model_dump_json() for prompt in prompts)


@pytest.mark.parametrize(
    "scored",
    [[[False, False, False]], [[True, True, False]], [[False, True, True]]],
    ids=["nothing", "first", "padding"],
)
def test_a_sequence_that_scores_nothing_or_what_cannot_be_predicted_is_refused(scored):
    with pytest.raises(Exception, match="at least one of the tokens"):
        Text(torch.tensor([[1, 2, 0]]), torch.tensor([2]), torch.tensor(scored))


def test_means_of_shorter_prompts_serve_circuit_methods_too():
    problem = language("mean-global").problem
    decoder, short = problem.model.decoder, problem.keep.tokens[:, :-3]
    lengths = torch.full((len(short),), short.shape[1])
    ablation = Ablation("mean-global", decoder, PromptPairs(short, short, lengths, lengths[:, None] - 1, {}))
    model = EditableDecoder(decoder, problem.model.graph, ablation)
    shorter = RemovalProblem(model=model, bad=problem.bad, keep=problem.keep, budgets=(4,), batch_size=4)
    kept = torch.ones(model.n_edges, requires_grad=True)
    loss = shorter.losses(shorter.keep, kept=kept).mean() - 0.2 * shorter.losses(shorter.bad, kept=kept).mean()
    loss.backward()
    assert torch.allclose(eap(circuit_problem(shorter), torch.Generator()).scores, kept.grad, atol=1e-5)
