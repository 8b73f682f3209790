"""One training loop, for the diffusion model and for the classifiers: progress, curves, and exact resumption.

A step's loss is a function of the step's number and of the weights alone (every draw comes from a stream keyed by the step), so a
run that was interrupted and resumed ends with the same bytes as one that was not.
"""

import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.randomness import torch_stream
from pag.machine.progress import Meter, progress
from pag.machine.ranks import first, mean
from pag.optimization.ema import Ema
from pag.optimization.optimizers import Optimization

__all__ = ["Curves", "Run", "fit"]

CPU = torch.device("cpu")

Curves = list[dict[str, float]]
"""Rows `{"step": …, mean of each logged scalar over the steps of the row, measures of the monitor}`."""


@dataclass(frozen=True)
class Run:
    """What any training has beside what it trains.

    Attributes:
        seed: of every draw.
        description: what the progress shows.
        device: where it computes.
        checkpoint: file to which the state goes after each row of the curves, and from which an interrupted run goes on.
    """

    seed: int
    description: str
    device: torch.device = CPU
    checkpoint: Path | None = None


@dataclass
class _State:
    """How far a run is: all that a checkpoint holds."""

    model: nn.Module
    optimization: Optimization
    ema: Ema | None
    step: int = 0
    curves: Curves = field(default_factory=list)

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
            _check_archive(path)
            state: dict[str, Any] = torch.load(path, map_location=_device(self.model), weights_only=True)
            self._check(state)
            self.model.load_state_dict(state["model"])
            self.optimization.optimizer.load_state_dict(state["optimizer"])
            self.optimization.schedule.load_state_dict(state["schedule"])
        except Exception as error:
            raise InputError(f"{path} is no checkpoint of this run ({type(error).__name__}); delete it.") from None
        if self.ema is not None:
            self.ema.weights = state["ema"]
        self.step, self.curves = state["step"], state["curves"]

    def _check(self, state: Mapping[str, Any]) -> None:
        """What torch does not look at itself; raises ValueError, or what comes of another structure."""
        averaged = {} if self.ema is None else state["ema"]
        if self.ema is not None and _shapes(averaged) != _shapes(self.ema.weights):
            raise ValueError("another average")
        if not all(value.isfinite().all() for value in (*state["model"].values(), *averaged.values())):
            raise ValueError("weights that are not finite")
        if not 0 <= state["step"] <= self.optimization.steps or len(state["curves"]) > state["step"]:
            raise ValueError("steps of another run")
        if not all(math.isfinite(value) for row in state["curves"] for value in row.values()):
            raise ValueError("curves that are not finite")


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _check_archive(path: Path) -> None:
    """Compares the file with the checksums that it carries as a ZIP archive, which torch does not; raises what zipfile raises."""
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise zipfile.BadZipFile(path)


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()}


def _loss(total: Tensor, steps: int) -> str:
    return f"loss {float(total) / steps:.3f}"


def fit(
    model: nn.Module,
    loss_of_step: Callable[[int], Mapping[str, Tensor]],
    optimization: Optimization,
    run: Run,
    *,
    report_every: int,
    ema: Ema | None = None,
    monitor: Callable[[], Mapping[str, float]] | None = None,
) -> Curves:
    """Trains `model` in place; under several ranks each calls it, and the first alone writes the checkpoint.

    Args:
        model: what is trained.
        loss_of_step: `step ↦ {"loss": scalar to minimise, …: scalars to log}`; a function of the step and the weights alone.
            Under several ranks its scalars are those whose mean over ranks is the batch's (`pag.optimization.parallel`).
        optimization: the optimiser and its schedule, with the number of steps.
        run: whose seed is also that of what the model itself draws in a step (dropout): torch's global generators are seeded anew
            for each.
        report_every: steps averaged into one row of the curves (an epoch, say).
        ema: average of the weights to keep along.
        monitor: measures to add to each row, taken after the row's last step.

    Raises:
        InputError: the checkpoint file belongs to another run or is damaged.
        FloatingPointError: the loss became NaN or infinite.
    """
    state = _State(model, optimization, ema)
    if run.checkpoint is not None and run.checkpoint.exists():
        state.restore(run.checkpoint)
    with progress(run.description, optimization.steps, state.step) as meter:
        while state.step < optimization.steps:
            row = _steps(state, min(report_every, optimization.steps - state.step), loss_of_step, run, meter)
            state.curves.append({"step": state.step, **row, **(monitor() if monitor is not None else {})})
            if run.checkpoint is not None and first():
                state.save(run.checkpoint)
    return state.curves


def _steps(
    state: _State, count: int, loss_of_step: Callable[[int], Mapping[str, Tensor]], run: Run, meter: Meter
) -> dict[str, float]:
    """Takes the next `count` steps, and gives the means of what they log."""
    sums: dict[str, Tensor] = {}  # on the device: to read them at each step would make it wait
    for done in range(1, count + 1):
        torch.manual_seed(torch_stream(run.seed, "global", state.step).initial_seed())
        parts = loss_of_step(state.step)
        state.optimization.step(parts["loss"])
        if state.ema is not None:
            state.ema.update(state.model)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.detach().double()
        state.step += 1
        meter.advance(note=partial(_loss, sums["loss"], done))
    row = mean({name: float(total) / count for name, total in sums.items()})
    if not math.isfinite(row["loss"]):
        raise FloatingPointError(
            f"{run.description}: the loss is {row['loss']} at step {state.step}; lower the learning rate."
        )
    return row
