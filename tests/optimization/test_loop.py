"""Laws of the training loop: a resumed run is the uninterrupted run, and the schedules are what they say."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.optimization.loop import Ema, adam, adamw, fit, sgd


def _network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def _run(steps, checkpoint=None, stop_at=None, ema_decay=0.9):
    model = _network()
    optimization = adamw(model.parameters(), steps, lr=0.05, weight_decay=0.1, warmup=0.2)
    ema = Ema(model, ema_decay)

    def loss_of_step(step):
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(4, 3, generator=torch_stream(1, "data", step), dtype=torch.float64)
        return {"loss": (model(x) - x.sum(1, keepdim=True)).square().mean()}

    options = {
        "steps": steps,
        "report_every": 4,
        "seed": 0,
        "description": "test",
        "ema": ema,
        "checkpoint": checkpoint,
    }
    curves = fit(model, loss_of_step, optimization, **options)
    return model.state_dict(), ema.weights, curves


def _equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("stop_at", [0, 3, 4, 9, 17])
def test_interrupted_run_ends_with_the_same_bytes(tmp_path, stop_at):
    weights, average, curves = _run(18)
    file = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        _run(18, file, stop_at)
    assert file.exists() == (stop_at >= 4)
    resumed = _run(18, file)
    assert _equal(resumed[0], weights)
    assert _equal(resumed[1], average)
    assert resumed[2] == curves
    assert [row["step"] for row in curves] == [4, 8, 12, 16, 18]


def test_checkpoint_of_another_network_is_refused(tmp_path):
    file = tmp_path / "state.pt"
    torch.save({"model": {"weight": torch.zeros(2)}}, file)
    with pytest.raises(InputError, match=r"state\.pt"):
        _run(8, file)
    file.write_bytes(b"PK truncated")
    with pytest.raises(InputError, match=r"state\.pt"):
        _run(8, file)


def test_a_loss_that_is_not_finite_stops_the_run():
    model = _network()
    with pytest.raises(FloatingPointError, match="test: the loss is nan at step 2"):
        fit(
            model,
            lambda step: {"loss": model(torch.ones(1, 3, dtype=torch.float64)).sum() * float("nan")},
            adam(model.parameters(), 2, lr=0.1),
            steps=2,
            report_every=2,
            seed=0,
            description="test",
        )


def _rates(optimization, steps):
    rates = []
    for _ in range(steps):
        rates.append(optimization.schedule.get_last_lr()[0])
        optimization.step(sum(p.sum() for group in optimization.optimizer.param_groups for p in group["params"]))
    return rates


def test_sgd_follows_the_papers_step_schedule():
    options = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4, "milestones": (0.5, 0.75), "gamma": 0.1}
    rates = _rates(sgd(_network().parameters(), 100, **options), 100)
    assert rates == pytest.approx([1e-2] * 50 + [1e-3] * 25 + [1e-4] * 25)


def test_adamw_warms_up_and_anneals_to_zero():
    rates = _rates(adamw(_network().parameters(), 100, lr=1.0, weight_decay=0.0, warmup=0.1), 100)
    assert rates[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[-1] < 1e-3


def test_average_of_constant_weights_is_the_weights():
    model = _network()
    ema = Ema(model, 0.9)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    ema.update(model)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(ema.weights[name], value - 0.9)
