"""One training loop, for the diffusion model and for the classifiers: progress, curves, and exact resumption.

A step's loss is a function of the step's number and of the weights alone (every draw comes from a stream keyed by the step), so a
run that was interrupted and resumed ends with the same bytes as one that was not.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.randomness import torch_stream
from pag.machine.progress import progress
from pag.machine.ranks import first, mean

__all__ = ["OPTIMIZERS", "Ema", "Optimization", "adam", "adamw", "fit", "sgd"]


@dataclass(frozen=True)
class Optimization:
    """An optimiser and its learning-rate schedule over the steps of a run."""

    optimizer: torch.optim.Optimizer
    schedule: LambdaLR

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
    return Optimization(optimizer, LambdaLR(optimizer, lambda s: gamma ** sum(s >= m * steps for m in milestones)))


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

    return Optimization(optimizer, LambdaLR(optimizer, factor))


def adam(parameters: Iterable[nn.Parameter], steps: int, *, lr: float) -> Optimization:
    """Adam at a constant rate (the paper's toy, appendix G.1)."""
    optimizer = torch.optim.Adam(parameters, lr)
    return Optimization(optimizer, LambdaLR(optimizer, lambda s: 1.0))


OPTIMIZERS: Mapping[str, Callable[..., Optimization]] = {"sgd": sgd, "adamw": adamw, "adam": adam}


class Ema:
    """Exponential moving average of a model's weights: `ema ← decay · ema + (1 − decay) · weights` after each step."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes in the model's weights after a step."""
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - self.decay)
            else:
                self.weights[name].copy_(value)


@dataclass
class _Run:
    """All that a checkpoint holds."""

    model: nn.Module
    optimization: Optimization
    ema: Ema | None
    step: int = 0
    curves: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimization.optimizer.state_dict(),
            "schedule": self.optimization.schedule.state_dict(),
            "ema": None if self.ema is None else self.ema.weights,
            "step": self.step,
            "curves": self.curves,
        }
        with written_whole(path) as partial:
            torch.save(state, partial)

    def restore(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, map_location=_device(self.model), weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimization.optimizer.load_state_dict(state["optimizer"])
            self.optimization.schedule.load_state_dict(state["schedule"])
        except Exception as error:
            raise InputError(f"{path} is no checkpoint of this run ({type(error).__name__}); delete it.") from None
        if self.ema is not None:
            self.ema.weights = state["ema"]
        self.step, self.curves = state["step"], state["curves"]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _loss(total: Tensor, steps: int) -> str:
    return f"loss {float(total) / steps:.3f}"


def fit(
    model: nn.Module,
    loss_of_step: Callable[[int], Mapping[str, Tensor]],
    optimization: Optimization,
    *,
    steps: int,
    report_every: int,
    seed: int,
    description: str,
    ema: Ema | None = None,
    monitor: Callable[[], Mapping[str, float]] | None = None,
    checkpoint: Path | None = None,
) -> list[dict[str, float]]:
    """Trains `model` in place; under several ranks each calls it, and the first alone writes the checkpoint.

    Args:
        model: what is trained.
        loss_of_step: `step ↦ {"loss": scalar to minimise, …: scalars to log}`; a function of the step and the weights alone.
            Under several ranks its scalars are those whose mean over ranks is the batch's (`pag.optimization.parallel`).
        optimization: the optimiser and its schedule.
        steps: number of steps of the run.
        report_every: steps averaged into one row of the curves (an epoch, say).
        seed: of what the model itself draws in a step (dropout): torch's global generators are seeded anew for each.
        description: what the progress shows.
        ema: average of the weights to keep along.
        monitor: measures to add to each row, taken after the row's last step.
        checkpoint: file to which the state goes after each row, and from which an interrupted run goes on.

    Returns:
        The rows: `{"step": …, mean of each logged scalar, measures of the monitor}`.

    Raises:
        InputError: the checkpoint file belongs to another run or is damaged.
        FloatingPointError: the loss became NaN or infinite.
    """
    run = _Run(model, optimization, ema)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    with progress(description, steps, run.step) as meter:
        while run.step < steps:
            end = min(run.step + report_every, steps)
            sums: dict[str, Tensor] = {}  # on the device: to read them at each step would make it wait
            for step in range(run.step, end):
                torch.manual_seed(torch_stream(seed, "global", step).initial_seed())
                parts = loss_of_step(step)
                optimization.step(parts["loss"])
                if ema is not None:
                    ema.update(model)
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + value.detach().double()
                meter.advance(note=partial(_loss, sums["loss"], step + 1 - run.step))
            row = mean({name: float(total) / (end - run.step) for name, total in sums.items()})
            if not math.isfinite(row["loss"]):
                raise FloatingPointError(
                    f"{description}: the loss is {row['loss']} at step {end}; lower the learning rate."
                )
            run.step = end
            run.curves.append({"step": end, **row, **(monitor() if monitor is not None else {})})
            if checkpoint is not None and first():
                run.save(checkpoint)
    return run.curves
