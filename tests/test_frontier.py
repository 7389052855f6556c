"""The frontier of a removal: which direction is better, what counts as gone, what a drowned model is worth."""

import pytest

from mechboard.errors import ScoringError
from mechboard.metrics.frontier import Axis, Point, area, point, upper

ACCURACIES = {"removed": (Axis("bad", 0.2),), "kept": (Axis("other", 0.2),)}
UNEDITED = {"bad": 1.0, "other": 1.0}


def test_the_unedited_model_has_no_area_and_full_specificity():
    at = point(**ACCURACIES, unedited=UNEDITED, edited=UNEDITED)
    assert at == Point(efficacy=0.0, specificity=1.0)
    assert area([at]) == 0.0


def test_a_behaviour_at_its_goal_with_all_else_intact_is_the_anchor_one():
    at = point(**ACCURACIES, unedited=UNEDITED, edited={"bad": 0.2, "other": 1.0})
    assert area([at]) == 1.0


def test_a_model_that_is_merely_drowned_adds_nothing():
    drowned = point(**ACCURACIES, unedited=UNEDITED, edited={"bad": 0.2, "other": 0.2})
    assert area([drowned]) == 0.0
    gentle = Point(0.4, 0.9)
    assert area([gentle, drowned]) == area([gentle]) == pytest.approx(0.36)


def test_an_edit_that_makes_the_behaviour_stronger_has_no_efficacy_and_one_that_helps_the_rest_no_bonus():
    at = point(**ACCURACIES, unedited={"bad": 0.8, "other": 0.8}, edited={"bad": 0.9, "other": 0.9})
    assert at == Point(efficacy=0.0, specificity=1.0)


def test_losses_rise_to_their_goal_where_accuracies_fall():
    loss = Axis("bad-loss", 7.0)
    assert loss.share(unedited=3.0, edited=5.0) == 0.5
    assert loss.share(unedited=3.0, edited=2.0) == 0.0
    assert loss.share(unedited=3.0, edited=20.0) == 1.0


def test_the_least_of_several_measures_of_the_behaviour_counts_and_the_most_of_the_damage():
    removed, kept = (Axis("loss", 7.0), Axis("rude", 0.0)), (Axis("text", 6.0), Axis("prompted", 6.0))
    before = {"loss": 3.0, "rude": 1.0, "text": 2.0, "prompted": 2.0}
    at = point(removed, kept, before, {"loss": 7.0, "rude": 0.75, "text": 2.0, "prompted": 5.0})
    assert at == Point(efficacy=0.25, specificity=0.25)


def test_area_is_that_of_the_stairs_over_efficacy():
    points = [Point(0.25, 1.0), Point(0.5, 0.8), Point(0.4, 0.5), Point(1.0, 0.1)]
    assert area(points) == pytest.approx(0.25 * 1.0 + 0.25 * 0.8 + 0.5 * 0.1)
    assert upper(points) == [points[0], points[1], points[3]]


def test_more_edits_never_lower_the_area():
    points = [Point(0.5, 0.5)]
    for more in (Point(0.2, 0.9), Point(0.9, 0.2), Point(0.5, 0.4), Point(0.5, 0.5)):
        assert area([*points, more]) >= area(points)
        points.append(more)


def test_a_task_whose_model_does_not_show_the_behaviour_is_an_error():
    with pytest.raises(ScoringError, match="which is the goal"):
        Axis("bad", 0.2).share(unedited=0.2, edited=0.1)
