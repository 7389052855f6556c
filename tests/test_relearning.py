"""What comes back when an edited model is trained on the bad samples again."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from learned_problems import clusters, rules

from mechboard.edits import Edited
from mechboard.errors import PluginError
from mechboard.kinds import kind
from mechboard.metrics.examination import Accuracies, Relearning
from mechboard.metrics.relearning import relearn, relearned
from mechboard.protocols import EdgeCuts, EditableMlp, Instance, WeightChange
from mechboard.runs.workers.cell import fingerprint

KIND = kind("removal")
learned_clusters, learned_rules = cache(clusters), cache(rules)
QUICK = Relearning(steps=8, rate=0.3)


def answer(edited, learned, relearning=QUICK):
    held_out = Accuracies(bad=learned.bad, other=learned.other, relearning=relearning)
    problem = learned.problem
    unedited, examined = held_out.examine(Edited(problem.model)), held_out.examine(edited)
    return relearned(edited, problem.bad, problem.batch_size, held_out, unedited, examined)


def shifted(learned, by):
    """The bad class's bias lowered: hidden behind one number."""
    change = {"out_bias": torch.tensor([-by, 0.0, 0.0])}
    return WeightChange(change=change, scales=(1.0,)).at(learned.problem.model, 0)


def without(learned, edges):
    kept = torch.ones(learned.problem.model.n_edges, dtype=torch.bool)
    kept[edges] = False
    return Edited(learned.problem.model, kept=kept)


def test_an_edit_that_is_undone_at_once_is_relearned_wholly():
    found = answer(shifted(learned_clusters(), 60.0), learned_clusters(), Relearning(steps=100, rate=1.0))
    assert found.share == 1.0
    assert found.curve.x == (0.0, 25.0, 50.0, 100.0)
    assert found.curve.y[0] == 0.0
    assert found.curve.y[-1] == 1.0


def test_what_no_weight_can_bring_back_is_not_relearned():
    """With all edges cut the decoder knows nothing of what it reads, whatever is trained."""
    learned = learned_rules()
    found = answer(without(learned, slice(None)), learned)
    assert found.share < 0.1
    assert found.curve.y[0] < 0.1


def test_an_edit_that_removed_under_a_fifth_has_no_share_and_is_not_trained():
    found = answer(shifted(learned_clusters(), 0.01), learned_clusters())
    assert (found.share, found.curve) == (None, None)
    assert "removed 0% of bad-accuracy" in found.note


def test_more_steps_bring_more_of_it_back():
    edited = shifted(learned_clusters(), 10.0)
    few, some, many = (
        answer(edited, learned_clusters(), Relearning(steps=steps, rate=0.01)).share for steps in (1, 4, 30)
    )
    assert few < 0.2 < 0.8 < many
    assert few < some < many


def test_a_cut_edge_stays_cut_while_the_weights_train():
    """Without the edges of an input nothing depends on it, before and after."""
    learned = learned_clusters()
    model, bad = learned.problem.model, learned.problem.bad
    of_first = [index for index, name in enumerate(model.edges) if name.startswith("x0->")]
    edited = without(learned, of_first)
    moved = replace(bad, inputs=bad.inputs + 5 * torch.eye(6)[0])
    before = edited.logits(bad)
    *_, (_, again) = relearn(edited, bad, Relearning(steps=5, rate=0.1), 64)
    assert torch.equal(again.logits(bad), again.logits(moved))
    assert not torch.allclose(again.logits(bad), before, atol=0.1)
    assert not torch.allclose(model.logits(bad), model.logits(moved), atol=0.1)


def test_weights_that_were_edited_are_where_training_begins():
    """A step of nearly nothing leaves the edit as it is, not the unedited model."""
    learned = learned_clusters()
    edited = shifted(learned, 60.0)
    ((_, again),) = relearn(edited, learned.problem.bad, Relearning(steps=1, rate=1e-9), 64)
    torch.testing.assert_close(again.logits(learned.bad), edited.logits(learned.bad))


@pytest.mark.parametrize("learned", [learned_clusters, learned_rules])
def test_neither_the_model_nor_the_edit_is_changed(learned):
    learned = learned()
    model = learned.problem.model
    name, own = next(iter(model.parameters().items()))
    edited = replace(without(learned, [0]), parameters={name: own + 0.1})
    prints = fingerprint(learned.problem), (own + 0.1).tolist()
    list(relearn(edited, learned.problem.bad, QUICK, 8))
    assert (fingerprint(learned.problem), edited.parameters[name].tolist()) == prints


def test_steps_go_through_all_bad_samples_in_turns(monkeypatch):
    learned, seen, losses = learned_clusters(), [], EditableMlp.losses

    def noted(self, samples, **given):
        seen.append(samples.inputs)
        return losses(self, samples, **given)

    monkeypatch.setattr(EditableMlp, "losses", noted)
    bad = learned.problem.bad
    list(relearn(Edited(learned.problem.model), bad, Relearning(steps=4, rate=0.1), 8))
    assert [len(inputs) for inputs in seen] == [8, 8, 4, 8]
    assert torch.equal(torch.cat(seen[:3]), bad.inputs)


def test_training_that_breaks_down_ends_and_the_edit_stands():
    learned = learned_clusters()
    edited = shifted(learned, torch.inf)
    *_, (_, again) = relearn(edited, learned.problem.bad, QUICK, 64)
    assert again.weights()["hidden"].equal(learned.problem.model.parameters()["hidden"])
    assert answer(edited, learned).share == 0.0


@pytest.mark.parametrize(
    "given", [{"steps": 0, "rate": 0.1}, {"steps": 1, "rate": 0.0}, {"steps": 1, "rate": torch.nan}]
)
def test_relearning_without_steps_or_rate_is_refused(given):
    with pytest.raises(PluginError, match="both above 0"):
        Relearning(**given)


@pytest.mark.parametrize("relearning", [QUICK, None])
def test_the_measure_is_of_the_reported_edit_where_the_task_declares_it(relearning):
    learned = learned_clusters()
    held_out = Accuracies(bad=learned.bad, other=learned.other, marked=96, relearning=relearning)
    instance = Instance(problem=learned.problem, held_out=held_out, truths=())
    cut = torch.zeros(2, 96, dtype=torch.bool)
    cut[1] = True
    found = KIND.score(SimpleNamespace(chance={}), instance, EdgeCuts(cut=cut))
    assert ("relearned" in found.measures, "relearning" in found.curves) == ((relearning is not None),) * 2
    if relearning is not None:
        assert found.measures["relearned"].of == "96 edges"
        assert found.measures["relearned"].value == answer(without(learned, slice(None)), learned).share
