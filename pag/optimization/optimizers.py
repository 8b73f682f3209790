"""Optimisers with their learning-rate schedules, by the name and the options that params give them."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["Optimization", "adam", "adamw", "make", "sgd"]


@dataclass(frozen=True)
class Optimization:
    """An optimiser and its learning-rate schedule over the `steps` of a run."""

    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    steps: int

    def step(self, loss: Tensor) -> None:
        """One update along the gradient of `loss`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


def sgd(
    parameters: Iterable[nn.Parameter],
    steps: int,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    milestones: tuple[float, ...],
    gamma: float,
) -> Optimization:
    """SGD whose rate is multiplied by `gamma` at each milestone, a fraction of the run (the paper's schedule, appendix G.2)."""
    optimizer = torch.optim.SGD(parameters, lr, momentum=momentum, weight_decay=weight_decay)
    schedule = LambdaLR(optimizer, lambda s: gamma ** sum(s >= m * steps for m in milestones))
    return Optimization(optimizer, schedule, steps)


def adamw(
    parameters: Iterable[nn.Parameter], steps: int, *, lr: float, weight_decay: float, warmup: float
) -> Optimization:
    """AdamW with a linear warm-up over the fraction `warmup` of the run, then a half cosine down to zero."""
    optimizer = torch.optim.AdamW(parameters, lr, weight_decay=weight_decay)
    ramp = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < ramp:
            return (step + 1) / ramp
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - ramp) / max(1, steps - ramp))))

    return Optimization(optimizer, LambdaLR(optimizer, factor), steps)


def adam(parameters: Iterable[nn.Parameter], steps: int, *, lr: float) -> Optimization:
    """Adam at a constant rate (the paper's toy, appendix G.1)."""
    optimizer = torch.optim.Adam(parameters, lr)
    return Optimization(optimizer, LambdaLR(optimizer, lambda s: 1.0), steps)


_OPTIMIZERS: Mapping[str, Callable[..., Optimization]] = {"sgd": sgd, "adamw": adamw, "adam": adam}


def make(parameters: Iterable[nn.Parameter], steps: int, optimizer: Mapping[str, Any]) -> Optimization:
    """The optimiser that a section of params describes.

    Args:
        parameters: what it updates.
        steps: of the run, which the schedule spans.
        optimizer: `{"name": "sgd", "adamw" or "adam", …}` with the options of the function of that name.
    """
    options = dict(optimizer)
    return _OPTIMIZERS[options.pop("name")](parameters, steps, **options)
