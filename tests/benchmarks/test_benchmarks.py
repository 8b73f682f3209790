"""Laws of the benchmarks: their statistics on made-up numbers, that both sides of a row compute the same, and that each runs.

No test looks at how long anything takes.
"""

import json
import runpy
import sys

import numpy as np
import pytest
import torch
from torch import nn

import classes_per_step
import distillation
import measuring
import nearest_neighbors
from measuring import Bar, Row, ratios, shown, spread, timed
from pag.training.network import EagerNetwork
from pag.training.objectives import Alignment, Batch, draw_classes
from steps import RepeatedBatch

ROW = {"name", "ratio", "spread", "bar", "met"}
# Those of tenths of a second at their quick size; `make bench` runs the others, and `peak_memory` and `startup` start processes.
CHEAP = (
    "repeated_batch", "one_class", "classes_per_step", "reading_targets", "nearest_neighbors", "kernel_targets", "startup",
)  # fmt: skip


def test_spread_is_median_and_quartiles():
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert spread([7.0]) == {"median": 7.0, "low": 7.0, "high": 7.0}


def test_what_slows_a_whole_round_changes_no_ratio():
    slow = [1.0, 10.0, 0.5, 3.0]
    numerator, denominator = [6 * factor for factor in slow], [2 * factor for factor in slow]
    assert ratios(numerator, denominator) == {"median": 3.0, "low": 3.0, "high": 3.0}
    assert ratios(slow, slow) == {"median": 1.0, "low": 1.0, "high": 1.0}
    with pytest.raises(ValueError, match="shorter"):
        ratios(numerator, denominator[:-1])


def test_every_step_runs_once_in_each_counted_round():
    order = []
    steps = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    seconds = timed(steps, 3, "steps")
    assert order == ["a", "b"] * (3 + measuring.WARM_UP)
    assert [len(values) for values in seconds.values()] == [3, 3]


@pytest.mark.parametrize(
    ("bar", "inside", "outside", "text"),
    [
        (Bar(at_least=2.3), (2.3, 9.0), (2.29,), "≥ 2.3"),
        (Bar(at_most=0.6), (0.6, -1.0), (0.61,), "≤ 0.6"),
        (Bar(0.85, 1.15), (0.85, 1.0, 1.15), (0.84, 1.16), "0.85 … 1.15"),
    ],
)
def test_bar_is_met_at_its_limit_and_not_beyond(bar, inside, outside, text):
    assert all(bar.met_by(value) for value in inside)
    assert not any(bar.met_by(value) for value in outside)
    assert str(bar) == text


def test_row_is_met_by_its_median_and_one_without_bar_or_measurement_counts_as_neither():
    met = Row("a", Bar(at_least=2.0), [1.0, 2.0, 50.0], why="Not told.").as_dict()
    assert met == {
        "name": "a", "ratio": 2.0, "spread": {"low": 1.5, "high": 26.0}, "bar": {"at_least": 2.0}, "met": True, "unit": "×",
    }  # fmt: skip
    missed = Row("b", Bar(at_most=2.0), [3.0], why="Told.", seconds={"ours": 1.0}).as_dict()
    assert (missed["met"], missed["why"], missed["seconds"]) == (False, "Told.", {"ours": 1.0})
    skipped = Row("c", Bar(at_least=3.0), skipped="No GPU.")
    assert skipped.met is None
    assert skipped.as_dict() == {
        "name": "c", "ratio": None, "spread": None, "bar": {"at_least": 3.0}, "met": None, "unit": "×", "skipped": "No GPU.",
    }  # fmt: skip
    reported = Row("d", None, [3.0]).as_dict()
    assert (reported["ratio"], reported["bar"], reported["met"]) == (3.0, None, None)
    assert shown([skipped, Row("d", None, [3.0])]).row_count == 2


@pytest.mark.parametrize("k", [1, 3, 5])
def test_repeated_batch_has_the_loss_and_gradients_of_ours(k):
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(36, 5)).double()
    x, labels = torch.rand(3, 2, 5, 5, generator=generator).double(), torch.tensor([0, 4, 2])
    classes, targets = draw_classes(3, 5, k, generator), torch.randn(3, k, 2, 5, 5, generator=generator).double()
    batch, gradients = Batch(x, labels, classes, targets), []
    for form in (Alignment(0.7, 5, "log_softmax"), RepeatedBatch(0.7, 5)):
        loss = form(EagerNetwork(model), batch, generator)["loss"]
        gradients.append([loss, *torch.autograd.grad(loss, list(model.parameters()))])
    for ours, repeated in zip(*gradients, strict=True):
        torch.testing.assert_close(repeated, ours)


def test_line_is_found_and_what_departs_from_it_is_measured():
    counts = (1, 2, 5, 10, 100)
    a, b, worst = classes_per_step.fitted(counts, [3.0 + 2.0 * k for k in counts])
    assert (a, b) == pytest.approx((3.0, 2.0))
    assert worst == pytest.approx(0.0, abs=1e-9)
    assert classes_per_step.fitted(counts, [3.0 + 0.1 * k**2 for k in counts])[2] > 0.5


def test_rows_of_a_line_are_in_plain_steps_and_double_backward_passes():
    counts = (1, 10, 100)
    seconds = {"plain": [3.0, 6.0], "double backward": [2.0, 4.0]}
    seconds |= {f"k = {k}": [3.0 + 2.0 * k, 6.0 + 4.0 * k] for k in counts}
    intercept, slope, departure = classes_per_step.lines(seconds, counts)
    assert list(intercept.ratios) == pytest.approx([1.0, 1.0])
    assert list(slope.ratios) == pytest.approx([1.0, 1.0])
    assert (intercept.met, slope.met, departure.met) == (True, True, True)


def test_one_label_a_batch_gives_the_targets_of_the_pipeline():
    model = distillation.network(quick=True, device=torch.device("cpu"))
    pixels = torch.rand(2, *distillation.SHAPE, generator=torch.Generator().manual_seed(1))
    plain = distillation.one_label_a_batch(model, pixels)
    assert plain.abs().max() > 0
    torch.testing.assert_close(distillation.ours(model, pixels), plain, rtol=1e-3, atol=1e-5)


def test_brute_force_finds_our_neighbours_and_their_memory_is_bounded():
    problem = nearest_neighbors.problem(quick=True)
    np.testing.assert_array_equal(problem.ours()[: problem.few], problem.brute_force())
    assert 0 < problem.peak() < problem.memory_bound()


@pytest.mark.parametrize("name", CHEAP)
def test_quick_size_gives_rows_with_bars(name):
    rows = __import__(name).rows(True)
    assert len({row.name for row in rows}) == len(rows) > 0
    for row in rows:
        told = json.loads(json.dumps(row.as_dict()))
        assert set(told) >= ROW
        assert told["bar"]
        if told["met"] is None:
            assert told["ratio"] is None
            assert told["skipped"]
        else:
            assert np.isfinite([told["ratio"], *told["spread"].values()]).all()
            assert told["spread"]["low"] <= told["ratio"] <= told["spread"]["high"]


def test_all_rows_go_to_one_file(tmp_path, monkeypatch):
    main = runpy.run_path("benchmarks/__main__.py")
    main["main"].__globals__["NAMES"] = ("nearest_neighbors",)
    path = tmp_path / "results.json"
    main["main"](quick=True, threads=1, output=path)
    results = json.loads(path.read_text(encoding="utf-8"))
    assert results["quick"] is True
    assert {"processor", "cores", "threads", "torch", "load"} <= set(results["machine"])
    assert [set(row) >= ROW for row in results["rows"]] == [True, True]


def test_every_benchmark_is_among_those_of_make_bench():
    names = set(runpy.run_path("benchmarks/__main__.py")["NAMES"])
    scripts = {
        path.stem for path in (measuring.ROOT / "benchmarks").glob("*.py") if "command(rows)" in path.read_text()
    }
    assert names == scripts
    assert set(CHEAP) <= names
    assert not names & set(sys.stdlib_module_names)
