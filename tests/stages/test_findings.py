"""Laws of findings: sentences that the results bear out, and none that they do not."""

import artifacts
import pytest

from pag.evaluation.intervals import Estimate
from pag.evaluation.metrics import Metrics
from pag.evaluation.sanity import Check
from stages.paths import Cell
from stages.reporting.findings import findings
from stages.reporting.results import CellResult, GridResults

GRID = ("digits", "resnet8")


def results_of(robust, alignment=None, lambdas=(), half=0.001):
    """Results with given robust accuracies: of methods, and of the sweep's `(λ, accuracy)`."""

    def cell(method, value, lambda_=None, swept=False):
        metrics = artifacts.evaluation_metrics(
            Cell(*GRID, method, artifacts.SEED),
            artifacts.METHODS[method],
            lambda_,
            value,
            value / 2,
            (alignment or {}).get(method, value),
            half=half,
        )
        name = f"{method}-lambda-{lambda_}" if swept else method
        return CellResult(
            name=name, evaluation=Metrics.model_validate(metrics), validation={}, target_probability=1.0, curves={}
        )

    cells = tuple(cell(method, value, 2.0 if method == "score_based" else None) for method, value in robust.items())
    sweep = tuple(cell("score_based", value, lambda_, swept=True) for lambda_, value in lambdas)
    return GridResults(dataset="digits", architecture="resnet8", cells=cells, sweep=sweep)


ORDERED = {"vanilla": 0.1, "one_image": 0.2, "class_mean": 0.3, "score_based": 0.5}


def told(*arguments, **options):
    return " ".join(findings(results_of(*arguments, **options)))


def test_order_that_holds():
    text = told(ORDERED)
    assert text.startswith("Yes: 3 of 3 networks")
    assert text.count("the order vanilla < every heuristic < SBG holds") == 2
    assert "(10.0% < 20.0% to 30.0% < 50.0%)." in text
    assert "does not hold" not in text
    assert "overlap" not in text


def test_order_that_breaks_is_told_with_the_place():
    text = told(ORDERED | {"class_mean": 0.6})
    assert (
        "L₂ (ε = 0.9, n = 120) the order vanilla < every heuristic < SBG does not hold: SBG (50.0%) is not above CM (60.0%)."
        in text
    )
    equal = told(ORDERED | {"one_image": 0.1})
    assert "does not hold: OI (10.0%) is not above Vanilla (10.0%)." in equal
    assert equal.startswith("In part: 2 of 3")


def test_own_class_targets_are_no_part_of_the_papers_order():
    text = told(ORDERED | {"nearest_neighbor": 0.25, "nearest_neighbor_own_class": 0.7})
    assert text.count("the order vanilla < every heuristic < SBG holds") == 2
    assert (
        "NN (own class), ours, needs no diffusion model; its robust accuracy against SBG in L₂ (70.0% against 50.0%)"
        in text
    )
    assert "against NN in L₂ (70.0% against 25.0%)" in text
    assert text.startswith("Yes: 5 of 5")


def test_imported_targets_are_no_heuristic_and_have_a_sentence_of_their_own():
    text = told(ORDERED | {"published": 0.6})
    assert text.count("the order vanilla < every heuristic < SBG holds") == 2
    assert "(10.0% < 20.0% to 30.0% < 50.0%)." in text
    assert "does not hold" not in text
    assert (
        "published SBG, trained with imported targets, is more robust than Vanilla in L₂ (60.0% against 10.0%) and L∞ (30.0% "
        "against 5.0%); it is more robust than SBG in L₂ (60.0% against 50.0%) and L∞ (30.0% against 25.0%); clean 95.0%."
    ) in text
    assert text.startswith("Yes: 4 of 4")
    below = told({"vanilla": 0.1, "published": 0.05})
    assert "is not more robust than Vanilla in L₂ (5.0% against 10.0%)" in below
    assert "SBG in" not in below
    assert "vanilla < every" not in below


def test_score_based_cell_is_the_one_named_as_its_store():
    results = results_of({"vanilla": 0.1, "frozen_with_score_based": 0.3, "score_based": 0.2})
    assert results.score_based.name == "score_based"
    assert results_of({"frozen_with_score_based": 0.3}).score_based.name == "frozen_with_score_based"


def test_no_gain_is_told():
    assert told({"vanilla": 0.5, "one_image": 0.2, "score_based": 0.4}).startswith("No: 0 of 2")


def test_intervals_that_overlap_are_told():
    text = told(ORDERED, half=0.06)
    assert "though the intervals of Vanilla / OI overlap" in text
    assert "1 of them by more than the confidence intervals" in text


def test_lambda():
    rising = told(ORDERED, lambdas=[(0.1, 0.2), (1.0, 0.4)])
    assert "As λ goes from 0 to 2: robust accuracy in L₂ rises at every step (10.0% to 50.0%)" in rising
    falling = told(ORDERED, lambdas=[(0.1, 0.2), (1.0, 0.6)])
    assert (
        "robust accuracy in L₂ is not monotone (10.0% to 50.0%): it falls from 60.0% at λ = 1 to 50.0% at λ = 2"
        in falling
    )
    assert "robust accuracy in L₂ never falls" in told(ORDERED, lambdas=[(0.1, 0.2), (1.0, 0.2)])


def test_adversarial_training():
    alignment = ORDERED | {"at_l2": 0.3}
    more = told(ORDERED | {"at_l2": 0.7}, alignment)
    assert (
        "AT L₂ is more robust than SBG in L₂ (70.0% against 50.0%) and L∞ (35.0% against 25.0%), with less aligned gradients"
        in more
    )
    assert "alignment alone does not order robustness" in more
    less = told(ORDERED | {"at_l2": 0.4}, alignment)
    assert "AT L₂ is not more robust than SBG" in less
    assert "alone" not in less


def test_verdict_is_of_the_smallest_eps_of_each_norm():
    results = results_of(ORDERED)
    lost = {"value": 0.0, "interval": (0.0, 0.0)}

    def with_floor(cell):
        attacked = cell.evaluation.autoattack
        large = attacked["l2"].model_copy(update={**lost, "eps": 9.0})
        evaluation = cell.evaluation.model_copy(update={"autoattack": {"l2_large": large, **attacked}})
        return cell.model_copy(update={"evaluation": evaluation})

    large = results.model_copy(update={"cells": tuple(with_floor(cell) for cell in results.cells)})
    text = " ".join(findings(large))
    assert text.startswith("Yes: 3 of 3 networks")
    assert "than vanilla in L₂ ε = 0.9 and L∞, 3 of them" in text
    assert "Under AutoAttack in L₂ (ε = 9, n = 120) the order vanilla < every heuristic < SBG does not hold" in text
    assert "than vanilla under every threat" in " ".join(findings(results))
    assert list(large.main_threats) == ["l2", "linf"]


def test_pairs_count_what_agrees():
    text = told(
        {"vanilla": 0.1, "one_image": 0.3, "score_based": 0.2}, {"vanilla": 0.0, "one_image": 0.1, "score_based": 0.2}
    )
    assert (
        "Among all 3 networks the better aligned one is the more robust in 2 of 3 pairs in L₂ and 2 of 3 pairs in L∞."
        in text
    )


def test_nothing_to_compare():
    assert findings(results_of({"vanilla": 0.1})) == ["The grid holds nothing to compare."]


DEAD = {"above_chance": Check(value=0.08, bar=0.1, passed=False)}


def altered(results, method, **changes):
    """The results with another evaluation of a method."""

    def changed(cell):
        evaluation = cell.evaluation.model_copy(update=changes)
        return cell.model_copy(update={"evaluation": evaluation}) if cell.method.name == method else cell

    return results.model_copy(update={"cells": tuple(map(changed, results.cells))})


def clean(value):
    return Estimate(value=value, interval=(value - 0.03, value + 0.03), n=360)


@pytest.mark.parametrize("checks", [DEAD, {}])
def test_a_dead_network_is_not_called_robust(checks):
    """One that always says the same class has its share of it right, which no attack alters: more than vanilla may have left."""
    results = altered(
        results_of({"vanilla": 0.02, "score_based": 0.125}), "score_based", clean=clean(0.103), sanity=checks
    )
    verdict, *rest = findings(results)
    assert verdict.startswith("No: 0 of 1 networks")
    assert len(rest) == 1
    assert rest[0].startswith("SBG does not count: ")
    assert (
        "failed a check (above_chance)" if checks else "hardly knows the classes (clean 10.3% against 95.0%)"
    ) in rest[0]


def test_a_network_whose_checks_failed_is_in_no_finding():
    hidden = {
        "zero_gradient": Check(value=1.0, bar=0.01, passed=False),
        "noise.l2": Check(value=0.1, bar=0.2, passed=True),
    }
    text = " ".join(findings(altered(results_of(ORDERED), "class_mean", sanity=hidden)))
    assert text.startswith("In part: 2 of 3 networks")
    assert "CM does not count: its evaluation failed a check (zero_gradient)." in text
    assert "(10.0% < 20.0% < 50.0%)." in text  # the heuristics without CM
    assert "Among the 3 networks" in text


def test_nothing_is_found_where_nothing_counts():
    results = altered(results_of({"vanilla": 0.1}), "vanilla", sanity=DEAD)
    assert findings(results) == ["Vanilla does not count: its evaluation failed a check (above_chance)."]


def test_what_robustness_cost_is_told():
    text = " ".join(findings(altered(results_of(ORDERED), "score_based", clean=clean(0.8))))
    assert text.startswith("Yes: 3 of 3")
    assert "clean accuracy was paid for it by SBG (clean 80.0% against 95.0%)." in text
    assert "paid" not in told(ORDERED)
    costly = altered(results_of(ORDERED | {"at_l2": 0.7}), "at_l2", clean=clean(0.8))
    assert "at the price of clean 80.0% against 95.0%" in " ".join(findings(costly))
