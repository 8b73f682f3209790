"""Laws of the training loop: a resumed run is the uninterrupted run, and a loss that is not finite stops it."""

import pytest
import torch
from torch import nn

from pag.base.errors import InputError
from pag.base.randomness import torch_stream
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


def test_a_loss_that_is_not_finite_stops_the_run():
    model = _network()
    with pytest.raises(FloatingPointError, match="test: the loss is nan at step 2"):
        fit(
            model,
            lambda step: {"loss": model(torch.ones(1, 3, dtype=torch.float64)).sum() * float("nan")},
            adam(model.parameters(), 2, lr=0.1),
            Run(0, "test"),
            report_every=2,
        )


def test_average_of_constant_weights_is_the_weights():
    model = _network()
    ema = Ema(model, 0.9)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    ema.update(model)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(ema.weights[name], value - 0.9)
