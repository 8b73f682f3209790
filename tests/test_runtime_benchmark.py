"""Laws of the arithmetic of `benchmarks/runtime.py`: ratios are of the same round, and the spread holds the middle half."""

import importlib.util
from pathlib import Path

import pytest
import torch

FILE = Path(__file__).parent.parent / "benchmarks" / "runtime.py"


@pytest.fixture(scope="module")
def runtime():
    spec = importlib.util.spec_from_file_location("runtime", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_spread_is_median_and_quartiles(runtime):
    assert runtime.spread([5.0, 1.0, 3.0, 2.0, 4.0]) == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert runtime.spread([7.0]) == {"median": 7.0, "low": 7.0, "high": 7.0}


def test_what_slows_a_whole_round_changes_no_ratio(runtime):
    slow = [1.0, 10.0, 0.5, 3.0]
    numerator, denominator = [6 * factor for factor in slow], [2 * factor for factor in slow]
    assert runtime.ratios(numerator, denominator) == {"median": 3.0, "low": 3.0, "high": 3.0}
    with pytest.raises(ValueError, match="shorter"):
        runtime.ratios(numerator, denominator[:-1])


def test_table_compares_every_method_with_plain_and_with_adversarial_training(runtime):
    costs = dict(zip(runtime.objectives(), (1.0, 2.0, 3.0, 11.0, 8.0, 21.0), strict=True))
    seconds = {name: [cost, cost * 2, cost * 4] for name, cost in costs.items()}
    rows = {row["name"]: row for row in runtime.compared(seconds)}
    assert list(rows) == list(costs)
    for name, row in rows.items():
        assert row["seconds"]["median"] == costs[name] * 2
        assert row["over_plain"]["median"] == costs[name]
        for at in runtime.ADVERSARIAL:
            assert row["faster_than"][at]["median"] == pytest.approx(costs[at] / costs[name])
    assert runtime.shown(1, list(rows.values())).row_count == len(costs)


def test_every_step_runs_once_in_each_counted_round(runtime):
    order = []
    steps = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    seconds = runtime.timed(steps, 3, "steps")
    assert order == ["a", "b"] * (3 + runtime.WARM_UP)
    assert [len(values) for values in seconds.values()] == [3, 3]


def test_step_gives_every_parameter_a_gradient_before_the_optimizer_steps(runtime, monkeypatch):
    seen = []
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: seen.append([p.grad for p in parameters_of(self)]))
    for name, (objective, k) in runtime.objectives().items():
        runtime.training_step(objective, k, 2, 1, torch.device("cpu"))()
        assert all(gradient is not None for gradient in seen[-1]), name
    assert len(seen) == len(runtime.objectives())


def parameters_of(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]
