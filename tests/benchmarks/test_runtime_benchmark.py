"""Laws of `benchmarks/runtime.py`: what its table compares, and that its steps are whole training steps."""

import pytest
import torch

import runtime


def test_table_compares_every_method_with_plain_and_with_adversarial_training():
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


def test_step_gives_every_parameter_a_gradient_before_the_optimizer_steps(monkeypatch):
    seen = []
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: seen.append([p.grad for p in parameters_of(self)]))
    for name, (objective, k) in runtime.objectives().items():
        runtime.training_step(objective, k, 2, 1, torch.device("cpu"))()
        assert all(gradient is not None for gradient in seen[-1]), name
    assert len(seen) == len(runtime.objectives())


def parameters_of(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]
