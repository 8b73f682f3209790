"""Laws of the training loop: a resumed run is the uninterrupted run, and a loss that is not finite stops it."""

import itertools
import re

import pytest
import torch
from torch import nn

from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.optimization import loop
from pag.optimization.ema import Ema
from pag.optimization.loop import Run, fit
from pag.optimization.optimizers import adam, adamw


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

    curves = fit(model, loss_of_step, optimization, Run(0, "test", checkpoint=checkpoint), report_every=4, ema=ema)
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


def _diverging(parts_of_loss=lambda loss: {"loss": loss}, steps=40, rows=None, **options):
    """Trains until something is not finite; the message."""
    model = _network()
    optimization = adamw(model.parameters(), steps, **{"lr": 0.05, "weight_decay": 0.0, "warmup": 0.0, **options})

    def loss_of_step(step):
        return parts_of_loss(model(torch.ones(1, 3, dtype=torch.float64)).square().sum())

    with pytest.raises(FloatingPointError) as error:
        fit(model, loss_of_step, optimization, Run(0, "test"), report_every=10, rows=rows)
    return str(error.value)


@pytest.mark.parametrize("reads", [True, False])
def test_a_loss_that_is_not_finite_tells_its_step_rows_and_norms(monkeypatch, reads):
    monkeypatch.setattr(loop, "size", lambda: 1 if reads else 2)  # several ranks find it at the row's end
    steps = itertools.count()

    def parts_of_loss(loss):
        return {"loss": loss * (torch.nan if next(steps) >= 3 else 1.0), "cross_entropy": loss}

    told = _diverging(parts_of_loss, rows=lambda step: step + torch.arange(10))
    assert told.startswith("test: the loss is nan (cross_entropy ")
    assert " in step 4 of 40, whose batch has the training rows 3, 4, 5, 6, 7, 8, 9, 10 and 2 more; " in told
    assert ("the weights have norm nan" in told) != reads
    assert next(steps) == (4 if reads else 10)


def _too_much_lambda(loss):
    return {"loss": loss + torch.inf, "cross_entropy": loss, "cosine": loss}


def _bad_targets(loss):
    return {"loss": loss * torch.nan, "cross_entropy": loss, "cosine": loss * torch.nan}


def _overflow(loss):
    return {"loss": loss * torch.nan, "cross_entropy": loss * torch.nan, "cosine": loss * torch.nan}


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"lr": 1e160}, r"lower the learning rate, 1e\+160\.$"),
        (
            {"lr": 1e150, "weight_decay": 1e20},
            r"lower weight_decay, 1e\+20, or the learning rate, 1e\+150, whose product is above 1\.$",
        ),
        ({"parts_of_loss": _too_much_lambda}, "lower lambda or beta, by which finite parts"),
        ({"parts_of_loss": _bad_targets}, "the target gradients of these rows are not finite, or too large"),
        ({"parts_of_loss": _overflow, "lr": 1e3}, r"lower lambda, or the learning rate, 1000\.$"),
    ],
)
def test_the_likely_cause_of_a_loss_that_is_not_finite_is_named(options, remedy):
    assert re.search(remedy, _diverging(**options))


def test_a_measure_or_a_network_that_is_not_finite_stops_the_run():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimization = adam(model.parameters(), 2, lr=0.1)

    def run(monitor=None):
        fit(
            model,
            lambda step: {"loss": model(torch.eye(3)).sum()},
            optimization,
            Run(0, "test"),
            report_every=1,
            monitor=monitor,
        )

    with pytest.raises(FloatingPointError, match="test: cosine is nan after 1 of 2 steps"):
        run(lambda: {"cosine": float("nan")})
    model[1].running_var.fill_(torch.nan)
    with pytest.raises(
        FloatingPointError, match=r"test: 1\.running_var of the network is not finite after 1 of 2 steps"
    ):
        run()


def test_average_of_constant_weights_is_the_weights():
    model = _network()
    ema = Ema(model, 0.9)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    ema.update(model)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(ema.weights[name], value - 0.9)
