"""`status`: today's grid, cell by cell: what is done, what it showed, and what is left with what that would cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from rich.markup import escape
from rich.table import Table

from pag.base.errors import InputError
from pag.base.json_files import json_text
from pag.evaluation.metrics import Attacked, Metrics, read_metrics
from pag.figures.names import eps_text, norm_name, percent, threat_names
from stages.commands.artifacts import Artifact, evaluated, of_grid, toy, trained, upstream
from stages.commands.console import console
from stages.commands.estimates import Estimates, training_forwards
from stages.commands.pipeline import changed_code, changes
from stages.commands.states import Known, State
from stages.params.grid import read_grid
from stages.params.methods import describe
from stages.params.reading import Params
from stages.paths import TIMES, Cell

__all__ = ["run"]

STYLES = {
    State.done: "green",
    State.stale: "yellow",
    State.running: "cyan",
    State.interrupted: "magenta",
    State.missing: "dim",
}
LEFT = (State.stale, State.interrupted, State.missing)


@dataclass(frozen=True)
class Made:
    """An artifact as it is now.

    Attributes:
        artifact: which.
        state: how far it is.
        reasons: why it would be made again.
        forwards: of what is left, forward passes of one image that it would take, where they are known.
        seconds: of what is left, how long it would take, as far as former times tell.
    """

    artifact: Artifact
    state: State
    reasons: Sequence[str] = ()
    forwards: float | None = None
    seconds: float | None = None

    def as_json(self) -> dict[str, object]:
        """For `--json`; what is not known is null."""
        return {
            "name": self.artifact.name,
            "path": str(self.artifact.path),
            "state": self.state.value,
            "reasons": list(self.reasons),
            "forwards": self.forwards,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }


@dataclass(frozen=True)
class CellStatus:
    """A cell of the grid.

    Attributes:
        cell, label: which, and what tables call its method.
        trained, evaluated: both its parts.
        metrics: what its evaluation measured, where it is there.
    """

    cell: Cell
    label: str
    trained: Made
    evaluated: Made
    metrics: Metrics | None

    @property
    def parts(self) -> tuple[Made, Made]:
        """Both, in the order of the pipeline."""
        return self.trained, self.evaluated

    def as_json(self) -> dict[str, object]:
        """For `--json`: every measure as a fraction, with its interval and the checks that make one doubt it."""
        measures = {} if self.metrics is None else self.metrics.measures
        doubts = {} if self.metrics is None else {name: self.metrics.doubts(name) for name in measures}
        return {
            "dataset": self.cell.dataset,
            "architecture": self.cell.architecture,
            "method": self.cell.method,
            "label": self.label,
            "lambda": self.cell.lambda_ if self.metrics is None else self.metrics.lambda_,
            "seed": self.cell.seed,
            "targets_seed": self.cell.targets_seed,
            "trained": self.trained.as_json(),
            "evaluated": self.evaluated.as_json(),
            "measures": {name: {**m.model_dump(mode="json"), "doubts": doubts[name]} for name, m in measures.items()},
        }


@dataclass
class _Survey:
    """Looks at artifacts, and at former times and passes where something is left."""

    params: Params
    known: Known
    metrics: Mapping[str, Metrics]
    _estimates: Estimates | None = field(default=None)

    @property
    def estimates(self) -> Estimates:
        if self._estimates is None:
            from stages.run import read_times  # which needs torch

            seconds = read_times() if TIMES.exists() else {}
            forwards = {f"train@{n}": m.training_forwards for n, m in self.metrics.items() if m.training_forwards}
            self._estimates = Estimates(seconds, forwards)
        return self._estimates

    def made(self, artifact: Artifact) -> Made:
        """Of an artifact that is no cell's."""
        state = self.known.state(artifact)
        seconds = self.estimates.of(artifact) if state in LEFT else None
        return Made(artifact, state, self._reasons(artifact, state), seconds=seconds)

    def cell(self, cell: Cell) -> CellStatus:
        """Of a cell, both parts."""
        classifier, evaluation = trained(cell), evaluated(cell)
        label = describe(self.params, cell.dataset, cell.method).label
        if cell.lambda_ is not None:
            label = f"{label}, λ = {cell.lambda_:g}"
        parts = self._trained(cell, classifier), self._evaluated(cell, evaluation)
        return CellStatus(cell, label, *parts, self.metrics.get(cell.name))

    def _trained(self, cell: Cell, artifact: Artifact) -> Made:
        state = self.known.state(artifact)
        forwards = training_forwards(self.params, cell) if state in LEFT else None
        seconds = self.estimates.of_training(cell, artifact, forwards) if state in LEFT else None
        return Made(artifact, state, self._reasons(artifact, state), forwards, seconds)

    def _evaluated(self, cell: Cell, artifact: Artifact) -> Made:
        state = self.known.state(artifact)
        seconds = self.estimates.of_evaluation(cell, artifact) if state in LEFT else None
        return Made(artifact, state, self._reasons(artifact, state), seconds=seconds)

    def _reasons(self, artifact: Artifact, state: State) -> list[str]:
        return self.known.reasons(artifact) if state is State.stale else []


def run(params: Params, with_dvc: bool = True, as_json: bool = False) -> None:
    """Prints the state of today's grid.

    Args:
        params: with the grid.
        with_dvc: whether DVC is asked what has changed; else nothing is called stale.
        as_json: for programs, one object on stdout.
    """
    known, note = _known(with_dvc)
    grid = read_grid(params)
    where = [(dataset, architecture) for dataset in grid.datasets for architecture in grid.architectures]
    cells = [cell for place in where for cell in of_grid(params, *place)]
    survey = _Survey(params, known, dict(_read(cells)))
    above = [survey.made(a) for a in chain(*(upstream(params, dataset) for dataset in grid.datasets), toy())]
    statuses = [survey.cell(cell) for cell in cells]
    if as_json:
        content = {"note": note, "upstream": [m.as_json() for m in above], "cells": [c.as_json() for c in statuses]}
        print(json_text(content, indent=1))
        return
    _print(above, statuses, where, note)


def _known(with_dvc: bool) -> tuple[Known, str]:
    """What has changed, and a note where that is not known."""
    if not with_dvc:
        return Known({}), "DVC was not asked (--no-dvc): what exists is shown as done, whatever has changed."
    try:
        return Known(changes(), changed_code()), ""
    except InputError as error:
        return Known({}), f"{error} What exists is shown as done, whatever has changed."


def _read(cells: Sequence[Cell]) -> Iterator[tuple[str, Metrics]]:
    for cell in cells:
        file = cell.evaluation / "metrics.json"
        if file.exists():
            yield cell.name, read_metrics(file)


def _print(above: Sequence[Made], cells: Sequence[CellStatus], where: Sequence[tuple[str, str]], note: str) -> None:
    out = console()
    out.print(_upstream_table(above))
    for dataset, architecture in where:
        here = [c for c in cells if (c.cell.dataset, c.cell.architecture) == (dataset, architecture)]
        out.print(_cells_table(f"{dataset}, {architecture}", here))
    every = [*above, *(part for cell in cells for part in cell.parts)]
    for line in (*_why(every), *_doubted(cells), *([note] if note else []), _summary(every)):
        out.print(escape(line))


def _upstream_table(above: Sequence[Made]) -> Table:
    table = Table("Upstream", "", title_justify="left", box=None, pad_edge=False)
    for made in above:
        table.add_row(str(made.artifact.path), _told(made))
    return table


def _cells_table(title: str, cells: Sequence[CellStatus]) -> Table:
    heads = _heads(cells)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for head in ("Method", "Seeds", "Trained", "Evaluated"):
        table.add_column(head)
    for head in heads.values():
        table.add_column(head, justify="right")
    threats = _threats(cells)
    for cell in cells:
        numbers = [_number(cell.metrics, name, threats) for name in heads]
        table.add_row(escape(cell.label), cell.cell.seeds, *map(_told, cell.parts), *numbers)
    return table


def _threats(cells: Sequence[CellStatus]) -> dict[str, tuple[str, float]]:
    """AutoAttack's norm and ε by name, as the first evaluation has them."""
    metrics = next((cell.metrics for cell in cells if cell.metrics is not None), None)
    return {} if metrics is None else {name: (of.norm, of.eps) for name, of in metrics.autoattack.items()}


def _heads(cells: Sequence[CellStatus]) -> dict[str, str]:
    """The headline numbers by their dotted names, with what the page calls them."""
    titles = threat_names(_threats(cells))
    return {"clean": "Clean", **{f"autoattack.{n}": f"AA {t}" for n, t in titles.items()}, "alignment": "Alignment"}


def _number(metrics: Metrics | None, name: str, threats: Mapping[str, tuple[str, float]]) -> str:
    """A measure; under another threat than the column's with its ε."""
    measure = None if metrics is None else metrics.measures.get(name)
    if metrics is None or measure is None:
        return "–"
    text = f"{measure.value:.3f}" if name == "alignment" else percent(measure.value)
    if isinstance(measure, Attacked) and (measure.norm, measure.eps) != threats[name.partition(".")[2]]:
        text = f"{text} ({norm_name(measure.norm)}, ε = {eps_text(measure.eps)})"
    return f"[red]✗ {text}[/red]" if metrics.doubts(name) else text


def _told(made: Made) -> str:
    cost = "" if made.seconds is None else f" ~{_duration(made.seconds)}"
    return f"[{STYLES[made.state]}]{made.state.value}[/]{cost}"


def _why(every: Sequence[Made]) -> Iterator[str]:
    """A line for each reason, with what it concerns."""
    concerned: dict[str, list[str]] = {}
    for made in every:
        for reason in made.reasons:
            concerned.setdefault(reason, []).append(made.artifact.name)
    for reason, names in concerned.items():
        some = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        yield f"Stale: {some}: {reason}."
    if concerned:
        yield "What depends on these is made again, too, if they come out different."


def _doubted(cells: Sequence[CellStatus]) -> Iterator[str]:
    for cell in cells:
        doubts = [] if cell.metrics is None else [d for m in cell.metrics.measures for d in cell.metrics.doubts(m)]
        if doubts:
            yield f"✗ {cell.label} ({cell.cell.seeds}): its evaluation failed {', '.join(dict.fromkeys(doubts))}."


def _summary(every: Sequence[Made]) -> str:
    counts = {state: sum(made.state is state for made in every) for state in State}
    parts = ", ".join(f"{count} {state.value}" for state, count in counts.items() if count)
    left = [made for made in every if made.state in LEFT]
    if not left:
        return f"{parts}; nothing is left to do."
    passes = [made.forwards for made in left if made.forwards is not None]
    seconds = [made.seconds for made in left if made.seconds is not None]
    counted = f"; training left: {sum(passes):.2g} forward passes".replace("e+0", "e") if passes else ""
    unknown = f" ({len(left) - len(seconds)} unknown)" if len(seconds) < len(left) else ""
    timed = f"; about {_duration(sum(seconds))} left, judging by earlier runs{unknown}" if seconds else ""
    return f"{parts}{counted}{timed}."


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
