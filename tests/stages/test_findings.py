"""Laws of findings: sentences that the results bear out, and none that they do not."""

from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import artifacts
import pytest

from pag.evaluation.intervals import Estimate
from pag.evaluation.metrics import Metrics
from pag.evaluation.sanity import Check
from stages.params.reading import Params
from stages.paths import Cell
from stages.reporting import ablations
from stages.reporting.costs import front, times_text
from stages.reporting.findings import findings
from stages.reporting.methods import by_method
from stages.reporting.results import CellResult, GridResults

GRID = ("digits", "resnet8")
PARAMS = Params(Path(__file__).parents[2] / "params.yaml")


def results_of(robust, alignment=None, lambdas=(), forwards=None):
    """Results by method with given robust accuracies: of methods, and of the sweep's `(λ, accuracy)`; a list has one for each seed.

    The images that a network withstands are the first ones, so that a difference of accuracies is one at as many images.
    """

    def runs(method, values, lambda_=None, swept=False):
        of_seeds = values if isinstance(values, list) else [values]
        return [cell(method, seed, value, lambda_, swept) for seed, value in enumerate(of_seeds)]

    def cell(method, seed, value, lambda_, swept):
        described = artifacts.METHODS[method]
        where = Cell(*GRID, method, seed, None if described.source is None else artifacts.SEED)
        cosine = (alignment or {}).get(method, value)
        metrics = artifacts.evaluation_metrics(where, described, lambda_, value, value / 2, cosine)
        metrics["training_forwards"] = (forwards or {}).get(method)
        return CellResult(
            name=f"{method}-lambda-{lambda_}" if swept else method,
            evaluation=Metrics.model_validate(metrics),
            validation={},
            target_probability=1.0,
            curves={},
            outcomes=artifacts.gathered_outcomes(metrics),
        )

    cells = [runs(method, value, 2.0 if method == "score_based" else None) for method, value in robust.items()]
    sweep = [runs("score_based", value, lambda_, swept=True) for lambda_, value in lambdas]
    return GridResults(dataset="digits", architecture="resnet8", cells=tuple(chain(*cells)), sweep=tuple(chain(*sweep)))


ORDERED = {"vanilla": 0.1, "one_image": 0.2, "class_mean": 0.3, "score_based": 0.5}
DOUBTS = ("unclear", "nconclusive", "cannot be distinguished")


def sentences(results):
    """Everything that is said, in order."""
    found = findings(PARAMS, results)
    return [*filter(None, (found.verdict, found.basis)), *chain(*found.groups.values())]


def told(*arguments, **options):
    return " ".join(sentences(by_method(results_of(*arguments, **options))))


def test_order_that_holds():
    text = told(ORDERED)
    assert text.startswith("Yes: 3 of 3 methods")
    assert text.count("the order vanilla < every heuristic < SBG holds") == 2
    assert "(10.0% < 20.0% to 30.0% < 50.0%)." in text
    assert "does not hold" not in text
    assert not any(doubt in text for doubt in DOUBTS)


def test_order_that_breaks_is_told_with_the_place():
    text = told(ORDERED | {"class_mean": 0.6})
    assert (
        "L₂ (ε = 0.9, n = 120), the order vanilla < every heuristic < SBG does not hold: SBG (50.0%) is below CM (60.0%)."
        in text
    )
    equal = told(ORDERED | {"one_image": 0.1})
    assert (
        "nothing contradicts the order vanilla < every heuristic < SBG, though it is unclear whether OI (10.0%) is above Vanilla "
        "(10.0%)."
    ) in equal
    assert equal.startswith("In part: 2 of 3")
    assert "; inconclusive for OI." in equal


def test_own_class_targets_are_no_part_of_the_papers_order():
    text = told(ORDERED | {"nearest_neighbor": 0.25, "nearest_neighbor_own_class": 0.7})
    assert text.count("the order vanilla < every heuristic < SBG holds") == 2
    assert (
        "NN (own class) (ours) needs no diffusion model. It is more robust than SBG in L₂ (70.0% against 50.0%) and L∞"
        in text
    )
    assert "It is more robust than NN in L₂ (70.0% against 25.0%)" in text
    assert text.startswith("Yes: 5 of 5")


def test_imported_targets_are_no_heuristic_and_have_a_sentence_of_their_own():
    text = told(ORDERED | {"published": 0.6})
    assert text.count("the order vanilla < every heuristic < SBG holds") == 2
    assert "(10.0% < 20.0% to 30.0% < 50.0%)." in text
    assert "does not hold" not in text
    assert (
        "Published SBG learns from targets computed elsewhere. It is more robust than Vanilla in L₂ (60.0% against "
        "10.0%) and L∞ (30.0% against 5.0%). It is more robust than SBG in L₂ (60.0% against 50.0%) and L∞ (30.0% against 25.0%). "
        "Clean accuracy: 95.0%."
    ) in text
    assert text.startswith("Yes: 4 of 4")
    below = told({"vanilla": 0.2, "published": 0.05})
    assert "It is less robust than Vanilla in L₂ (5.0% against 20.0%)" in below
    assert "SBG in" not in below
    assert "vanilla < every" not in below


def test_score_based_cell_is_the_one_named_as_its_store():
    results = by_method(results_of({"vanilla": 0.1, "frozen_with_score_based": 0.3, "score_based": 0.2}))
    assert results.score_based.name == "score_based"
    assert by_method(results_of({"frozen_with_score_based": 0.3})).score_based.name == "frozen_with_score_based"


def test_no_gain_is_told():
    assert told({"vanilla": 0.5, "one_image": 0.2, "score_based": 0.4}).startswith("No: 0 of 2")


def test_what_cannot_be_told_is_told():
    """In L∞ two of 120 images are between vanilla and OI: more of them than vanilla, and no difference."""
    text = told(ORDERED | {"one_image": 0.13})
    assert text.startswith("In part: 2 of 3 methods")
    assert "; inconclusive for OI." in text
    assert "in L∞ (ε = 8/255, n = 120), nothing contradicts the order" in text
    assert told({"vanilla": 0.1, "score_based": 0.11}).startswith("Inconclusive: 0 of 1 methods")
    at = told(ORDERED | {"at_l2": 0.51})
    assert "AT L₂ cannot be distinguished from SBG in L₂ (51.0% against 50.0%) and L∞" in at


def test_runs_and_seeds_that_stand_behind_are_told():
    one = told(ORDERED)
    assert "Numbers are from 1 run per method (training seed 0; target seed 3407); a method is called" in one
    assert "(over images; no other seeds were tried)" in one
    three = told({method: [value, value + 0.05, value] for method, value in ORDERED.items()})
    assert "Numbers are means over 3 runs per method (training seeds 0, 1, 2; target seed 3407)" in three
    assert "(over seeds and images)" in three
    assert "(11.7% < 21.7% to 31.7% < 51.7%)." in three


def test_seeds_that_disagree_leave_it_open():
    """Means far apart, which one of the three seeds contradicts."""
    text = told({"vanilla": [0.1, 0.1, 0.5], "score_based": [0.5, 0.5, 0.05]})
    assert text.startswith("Inconclusive: 0 of 1 methods")
    assert told({"vanilla": [0.1, 0.1, 0.1], "score_based": [0.5, 0.5, 0.4]}).startswith("Yes: 1 of 1")


def test_lambda():
    rising = told(ORDERED, lambdas=[(0.1, 0.2), (1.0, 0.4)])
    assert "As λ grows from 0 to 2: robust accuracy in L₂ rises at every step (10.0% to 50.0%)" in rising
    falling = told(ORDERED, lambdas=[(0.1, 0.2), (1.0, 0.6)])
    assert (
        "robust accuracy in L₂ is not monotone (10.0% to 50.0%): it falls from 60.0% at λ = 1 to 50.0% at λ = 2"
        in falling
    )
    flat = told(ORDERED, lambdas=[(0.1, 0.2), (1.0, 0.2)])
    assert (
        "robust accuracy in L₂ never falls (10.0% to 50.0%), though it is unclear whether it rises between λ = 0.1 and 1;"
        in flat
    )


def test_adversarial_training():
    alignment = ORDERED | {"at_l2": 0.3}
    more = told(ORDERED | {"at_l2": 0.7}, alignment)
    assert (
        "AT L₂ is more robust than SBG in L₂ (70.0% against 50.0%) and L∞ (35.0% against 25.0%). Its gradients are less aligned "
        "(0.300 against 0.500), so alignment alone does not rank methods by robustness."
    ) in more
    less = told(ORDERED | {"at_l2": 0.4}, alignment)
    assert "AT L₂ is less robust than SBG" in less
    assert "alone" not in less


def test_verdict_is_of_the_smallest_eps_of_each_norm():
    results = results_of(ORDERED)

    def with_floor(cell):
        attacked = cell.evaluation.autoattack
        large = attacked["l2"].model_copy(update={"value": 0.0, "interval": (0.0, 0.0), "eps": 9.0})
        evaluation = cell.evaluation.model_copy(update={"autoattack": {"l2_large": large, **attacked}})
        outcomes = cell.outcomes | {"autoattack.l2_large": "0" * 120}
        return cell.model_copy(update={"evaluation": evaluation, "outcomes": outcomes})

    large = by_method(results.model_copy(update={"cells": tuple(with_floor(cell) for cell in results.cells)}))
    text = " ".join(sentences(large))
    assert text.startswith("Yes: 3 of 3 methods")
    assert "than vanilla in L₂ ε = 0.9 and L∞." in text
    assert "Under AutoAttack in L₂ (ε = 9, n = 120), nothing contradicts the order" in text
    assert "than vanilla under every threat" in told(ORDERED)
    assert list(large.main_threats) == ["l2", "linf"]


def test_pairs_count_what_agrees():
    text = told(
        {"vanilla": 0.1, "one_image": 0.3, "score_based": 0.2}, {"vanilla": 0.0, "one_image": 0.1, "score_based": 0.2}
    )
    assert (
        "Among all 3 methods, the better aligned one is more robust in 2 of 3 pairs in L₂ and 2 of 3 pairs in L∞."
        in text
    )
    near = told({"vanilla": 0.1, "score_based": 0.11}, {"vanilla": 0.0, "score_based": 0.2})
    assert "in 0 of 1 pairs in L₂ (1 inconclusive)" in near


def test_nothing_to_compare():
    assert sentences(by_method(results_of({"vanilla": 0.1}))) == []


DEAD = {"above_chance": Check(value=0.08, bar=0.1, passed=False)}


def altered(results, method, **changes):
    """The results by method, with another evaluation of one."""

    def changed(cell):
        evaluation = cell.evaluation.model_copy(update=changes)
        return cell.model_copy(update={"evaluation": evaluation}) if cell.name == method else cell

    return by_method(results.model_copy(update={"cells": tuple(map(changed, results.cells))}))


def clean(value):
    return Estimate(value=value, interval=(value - 0.03, value + 0.03), n=360)


@pytest.mark.parametrize("checks", [DEAD, {}])
def test_a_dead_network_is_not_called_robust(checks):
    """One that always says the same class has its share of it right, which no attack alters: more than vanilla may have left."""
    results = altered(
        results_of({"vanilla": 0.02, "score_based": 0.125}), "score_based", clean=clean(0.103), sanity=checks
    )
    verdict, *rest = sentences(results)
    assert verdict.startswith("No: 0 of 1 methods")
    assert len(rest) == 2
    assert rest[1].startswith("SBG does not count: ")
    assert (
        "failed a check (above_chance)" if checks else "hardly learned the classes (clean 10.3% against 95.0%)"
    ) in rest[1]


def test_a_network_whose_checks_failed_is_in_no_finding():
    hidden = {
        "zero_gradient": Check(value=1.0, bar=0.01, passed=False),
        "noise.l2": Check(value=0.1, bar=0.2, passed=True),
    }
    text = " ".join(sentences(altered(results_of(ORDERED), "class_mean", sanity=hidden)))
    assert text.startswith("In part: 2 of 3 methods")
    assert "CM does not count: its evaluation failed a check (zero_gradient)." in text
    assert "(10.0% < 20.0% < 50.0%)." in text  # the heuristics without CM
    assert "Among the 3 methods" in text


def test_nothing_is_found_where_nothing_counts():
    results = altered(results_of({"vanilla": 0.1}), "vanilla", sanity=DEAD)
    assert sentences(results) == ["Vanilla does not count: its evaluation failed a check (above_chance)."]


def test_what_robustness_cost_is_told():
    text = " ".join(sentences(altered(results_of(ORDERED), "score_based", clean=clean(0.8))))
    assert text.startswith("Yes: 3 of 3")
    assert "; at the price of clean accuracy for SBG (clean 80.0% against 95.0%)." in text
    assert "price" not in told(ORDERED)
    costly = altered(results_of(ORDERED | {"at_l2": 0.7}), "at_l2", clean=clean(0.8))
    assert "at a price (clean 80.0% against 95.0%)" in " ".join(sentences(costly))


def test_one_bad_run_is_enough():
    results = results_of({"vanilla": [0.1, 0.1], "score_based": [0.5, 0.5]})
    bad = results.cells[3].evaluation.model_copy(update={"sanity": DEAD})
    cells = (*results.cells[:3], results.cells[3].model_copy(update={"evaluation": bad}))
    text = " ".join(sentences(by_method(results.model_copy(update={"cells": cells}))))
    assert "SBG does not count: its evaluation failed a check (above_chance) in 1 of 2 runs." in text


BEYOND = ORDERED | {"at_l2": 0.6, "kernel": 0.55, "aligned_margin_l2": 0.62, "gradient_norm": 0.3, "teacher": 0.58}
COSTS = {"vanilla": 3.0, "score_based": 6.0, "kernel": 6.0, "aligned_margin_l2": 8.5, "at_l2": 17.0}


def test_what_is_not_the_papers_is_not_in_its_order():
    text = told(BEYOND)
    assert text.count("the order vanilla < every heuristic < SBG holds (10.0% < 20.0% to 30.0% < 50.0%)") == 1
    assert text.startswith(
        "Yes: 4 of 4 methods that align gradients, trained without perturbed images,"
    )  # the kernel among them
    assert (
        "Kernel (ours) has targets in closed form, without a diffusion model. It is more robust than SBG in L₂" in text
    )
    assert (
        "Teacher, an oracle rather than a method, learns from the gradients of a trained classifier. It is more robust than SBG"
        in text
    )
    assert (
        "Gradient norm is a baseline without targets. It is more robust than Vanilla in L₂ (30.0% against 10.0%)"
        in text
    )


def test_the_aligned_margin_is_told_with_its_cost_and_its_cosine():
    text = told(BEYOND, {"aligned_margin_l2": 0.4, "score_based": 0.5}, forwards=COSTS)
    assert (
        "AM L₂ (ours) perturbs images but does not search for adversarial examples; its training costs 2.8× vanilla's (AT L₂ 5.7×)."
        " It is more robust than SBG in L₂ (62.0% against 50.0%) and L∞ (31.0% against 25.0%). Compared with the most robust "
        "adversarial training under each threat, it cannot be distinguished from AT L₂ in L₂ (62.0% against 60.0%) and L∞ (31.0% "
        "against 30.0%). Clean accuracy: 95.0%. Its gradients are less aligned than SBG's (0.400 against 0.500): across objectives,"
        " better aligned does not mean more robust."
    ) in text
    assert "without perturbed images" not in text[text.index("AM L₂") :]
    assert "less aligned than SBG" not in told(BEYOND, {"aligned_margin_l2": 0.6, "score_based": 0.5})
    assert "training costs" not in told(BEYOND)


def test_the_front_is_of_the_numbers():
    text = told(BEYOND, forwards=COSTS)
    assert (
        "where no other method is both as cheap and as robust: Vanilla (1.0×, 10.0%), kernel (2.0×, 55.0%) and AM L₂ (2.8×, 62.0%)."
        in text
    )
    assert "best" not in text
    assert "front" not in told(BEYOND)


def test_the_front_is_counted_over_runs():
    robust = {"vanilla": [0.1, 0.1, 0.1], "score_based": [0.5, 0.5, 0.5], "kernel": [0.6, 0.4, 0.6]}
    text = told(robust, forwards=COSTS)
    assert "Vanilla (1.0×, 10.0%, in 3 of 3 runs) and kernel (2.0×, 53.3%, in 2 of 3 runs)." in text


def test_front():
    points = {
        "cheap": (1.0, 0.1),
        "as dear, less": (2.0, 0.2),
        "dear": (2.0, 0.4),
        "worse": (3.0, 0.4),
        "twin": (2.0, 0.4),
    }
    assert front(points) == ["cheap", "dear", "twin"]
    assert front({}) == []
    assert [times_text(x) for x in (0.5, 1.0, 2.87, 34.2)] == ["0.50×", "1.0×", "2.9×", "34×"]


def test_parts_of_the_aligned_margin_are_told_by_what_differs(monkeypatch):
    """The second differs from the first in one parameter, and has no sentence of its own; the third differs in two."""
    sections = {
        "aligned_margin_l2": {"margin": 1.0, "ramp": {"until": 0.5}},
        "aligned_margin_l2_without_margin": {"margin": 0.0, "ramp": {"until": 0.5}, "label": "another"},
        "aligned_margin_linf": {"margin": 0.5, "ramp": {"until": 0.6}},
    }
    monkeypatch.setattr(
        ablations,
        "method_section",
        lambda params, dataset, name: SimpleNamespace(model_dump=lambda mode: sections[name]),
    )
    text = told(
        {"vanilla": 0.1, "aligned_margin_l2": 0.6, "aligned_margin_l2_without_margin": 0.4, "aligned_margin_linf": 0.3}
    )
    assert (
        "AM L₂ with one part changed at a time: with margin: 1.0 → 0.0, it is less robust than AM L₂ in L₂ (40.0% "
        "against 60.0%) and L∞ (20.0% against 30.0%)."
    ) in text
    assert text.count("does not search for adversarial examples") == 2
