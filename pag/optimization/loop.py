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
from pag.machine.capacity import require_disk
from pag.machine.progress import Meter, progress
from pag.machine.ranks import first, mean, size
from pag.optimization.divergence import diverged, not_finite
from pag.optimization.ema import Ema
from pag.optimization.optimizers import Optimization

__all__ = ["Curves", "Run", "fit"]

CPU = torch.device("cpu")
STATES = 8  # times the weights, at most: with the moments of Adam and an average, written beside the last ones

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
        with (
            written_whole(path) as partial,
            partial.open("wb") as file,
        ):  # torch itself would not say why it cannot write
            torch.save(state, file)

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
    rows: Callable[[int], Tensor] | None = None,
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
        rows: the rows of the training set in a step's batch, which a message names.

    Raises:
        InputError: the checkpoint file belongs to another run or is damaged, or there is no room for another.
        FloatingPointError: the loss, a part of it or a measure became NaN or infinite.
    """
    state = _State(model, optimization, ema)
    if run.checkpoint is not None and first():
        require_disk({run.checkpoint: STATES * sum(p.nbytes for p in model.parameters())})
    if run.checkpoint is not None and run.checkpoint.exists():
        state.restore(run.checkpoint)
    with progress(run.description, optimization.steps, state.step) as meter:
        while state.step < optimization.steps:
            row = _steps(state, min(report_every, optimization.steps - state.step), loss_of_step, run, meter, rows)
            state.curves.append({"step": state.step, **row, **_measures(monitor, state, run)})
            if run.checkpoint is not None and first():
                state.save(run.checkpoint)
    return state.curves


def _measures(monitor: Callable[[], Mapping[str, float]] | None, state: _State, run: Run) -> Mapping[str, float]:
    measures = {} if monitor is None else monitor()
    for name, value in measures.items():
        if not math.isfinite(value):
            done = f"{state.step} of {state.optimization.steps} steps"
            raise FloatingPointError(f"{run.description}: {name} is {value} after {done}.")
    return measures


def _steps(
    state: _State,
    count: int,
    loss_of_step: Callable[[int], Mapping[str, Tensor]],
    run: Run,
    meter: Meter,
    rows: Callable[[int], Tensor] | None,
) -> dict[str, float]:
    """Takes the next `count` steps, and gives the means of what they log."""
    sums: dict[str, Tensor] = {}  # on the device: to read them at each step would make it wait
    watch = _Watch(state, run, rows)
    for done in range(1, count + 1):
        _seed_global(torch_stream(run.seed, "global", state.step).initial_seed(), watch.device)
        parts = loss_of_step(state.step)
        watch.see(parts)
        state.optimization.step(parts["loss"])
        if state.ema is not None:
            state.ema.update(state.model)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.detach().double()
        state.step += 1
        meter.advance(note=partial(_loss, sums["loss"], done))
    row = mean({name: float(total) / count for name, total in sums.items()})
    watch.check(row)
    return row


def _seed_global(seed: int, device: torch.device) -> None:
    """Seeds the generators that the device draws from by itself: on a CPU at a hundredth of the time of `torch.manual_seed`, which
    there prints a traceback, and keeps it, for a GPU that may yet come.
    """
    (torch.default_generator if device.type == "cpu" else torch).manual_seed(seed)


class _Watch:
    """Finds the first step whose loss, or a part of it, is not finite.

    Where a number can be read at no cost, on the CPU by a process alone, the run ends before the step's update. Elsewhere the
    device or the other ranks would have to wait for it: the step is noted, and the run ends with the row of the curves.
    """

    def __init__(self, state: _State, run: Run, rows: Callable[[int], Tensor] | None) -> None:
        self._state, self._run, self._rows = state, run, rows
        self.device = _device(state.model)
        self._at_once = self.device.type == "cpu" and size() == 1
        self._broken: list[Tensor] = []  # a flag a step
        self._first = state.step

    def see(self, parts: Mapping[str, Tensor]) -> None:
        """Takes note of a step's numbers, before its update.

        Raises:
            FloatingPointError: one is not finite, and that can be read now.
        """
        if not self._at_once:
            self._broken.append(~torch.stack([value.detach().isfinite() for value in parts.values()]).all())
            return
        values = {name: float(value.detach()) for name, value in parts.items()}
        if not _finite(values):
            raise self._error(self._state.step, values)

    def check(self, row: Mapping[str, float]) -> None:
        """Checks the means over all steps and ranks, and the network that they have led to.

        Raises:
            FloatingPointError: a number is not finite.
        """
        if _finite(row):
            return self._check_network()
        broken = torch.stack(self._broken).tolist() if self._broken else []
        raise self._error(self._first + (broken.index(True) if True in broken else max(len(broken) - 1, 0)), row)

    def _check_network(self) -> None:
        state = self._state
        values = {name: value for name, value in state.model.state_dict().items() if value.is_floating_point()}
        finite = torch.stack([value.isfinite().all() for value in values.values()]).tolist()
        if not all(finite):
            name = list(values)[finite.index(False)]
            raise not_finite(self._run.description, name, state.step, state.optimization)

    def _error(self, step: int, parts: Mapping[str, float]) -> FloatingPointError:
        rows, state = None if self._rows is None else self._rows(step), self._state
        return diverged(self._run.description, step, parts, state.model, state.optimization, rows)


def _finite(values: Mapping[str, float]) -> bool:
    return all(map(math.isfinite, values.values()))
