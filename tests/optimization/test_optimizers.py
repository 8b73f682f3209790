"""Laws of the optimisers: their schedules are what they say, and params choose them by name."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from pag.optimization.optimizers import adamw, make, sgd

SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4, "milestones": (0.5, 0.75), "gamma": 0.1}


def _parameters():
    return [nn.Parameter(torch.ones(3))]


def _rates(optimization, steps):
    rates = []
    for _ in range(steps):
        rates.append(optimization.schedule.get_last_lr()[0])
        optimization.step(sum(p.sum() for group in optimization.optimizer.param_groups for p in group["params"]))
    return rates


def test_sgd_follows_the_papers_step_schedule():
    rates = _rates(sgd(_parameters(), 100, **SGD), 100)
    assert rates == pytest.approx([1e-2] * 50 + [1e-3] * 25 + [1e-4] * 25)


def test_adamw_warms_up_and_anneals_to_zero():
    rates = _rates(adamw(_parameters(), 100, lr=1.0, weight_decay=0.0, warmup=0.1), 100)
    assert rates[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[-1] < 1e-3


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [("sgd", SGD, torch.optim.SGD), ("adamw", {"lr": 0.1, "weight_decay": 0.0, "warmup": 0.1}, torch.optim.AdamW),
     ("adam", {"lr": 0.1}, torch.optim.Adam)],
)  # fmt: skip
def test_params_name_an_optimizer_and_give_its_options(name, options, kind):
    section = {"name": name, **options}
    optimization = make(_parameters(), 100, section)
    assert type(optimization.optimizer) is kind
    assert optimization.optimizer.defaults["lr"] == options["lr"]
    assert optimization.steps == 100
    assert section["name"] == name  # left as it was
