"""What all benchmarks have in common: timing in turn, medians with their quartiles, rows with a bar, and the command line.

What is compared runs in turn, again and again in one process: whatever else the machine does falls on all of it alike. What counts
are ratios, each of two times of the same round.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import torch
import typer
from rich.console import Console
from rich.table import Table

from pag.base.json_files import write_json
from pag.machine.progress import progress

__all__ = [
    "ROOT", "Bar", "Row", "Spread", "Step", "command", "devices", "machine", "ratios", "same_round", "shown", "spread", "timed",
]  # fmt: skip

ROOT = Path(__file__).parent.parent
WARM_UP = 2  # rounds that are not counted

Step = Callable[[], object]
Spread = dict[str, float]


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles."""
    low, median, high = np.quantile(np.asarray(values, dtype=np.float64), [0.25, 0.5, 0.75]).tolist()
    return {"median": median, "low": low, "high": high}


def same_round(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    """The ratio in each round."""
    return [a / b for a, b in zip(numerator, denominator, strict=True)]


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """The spread of the ratio of two steps of the same round."""
    return spread(same_round(numerator, denominator))


def timed(steps: Mapping[str, Step], repeats: int, description: str, warm_up: int = WARM_UP) -> dict[str, list[float]]:
    """Seconds of each step, by round; in each round every step runs once.

    Args:
        steps: by name; a step returns when its work is done, on an accelerator too.
        repeats: rounds that are counted, at least 1.
        description: what the progress shows.
        warm_up: rounds before them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    with progress(description, repeats + warm_up) as meter:
        for turn in range(repeats + warm_up):
            for name, step in steps.items():
                started = time.perf_counter()
                step()
                if turn >= warm_up:
                    seconds[name].append(time.perf_counter() - started)
            meter.advance()
    return seconds


@dataclass(frozen=True)
class Bar:
    """What a median has to reach; None: no limit on that side."""

    at_least: float | None = None
    at_most: float | None = None

    def met_by(self, value: float) -> bool:
        """Whether a median lies within the bar."""
        low, high = self.at_least, self.at_most
        return (low is None or value >= low) and (high is None or value <= high)

    def as_dict(self) -> dict[str, float]:
        """The limits that there are."""
        limits = {"at_least": self.at_least, "at_most": self.at_most}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} … {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


@dataclass(frozen=True)
class Row:
    """One comparison with its bar.

    Attributes:
        name: what is compared.
        bar: of the median; None where the row is only reported.
        ratios: the measured values, usually one a round; none where the row was skipped.
        unit: of the values: `"×"`, or `"s"` where the bar is a time.
        note: what the numbers alone do not tell: sizes, and what stands in for what.
        why: told where the bar is missed: what a profile shows.
        skipped: why it was not measured.
        seconds: median seconds of each side.
    """

    name: str
    bar: Bar | None
    ratios: Sequence[float] = ()
    unit: str = "×"
    note: str = ""
    why: str = ""
    skipped: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the bar; None where there is no bar or nothing was measured."""
        return self.bar.met_by(spread(self.ratios)["median"]) if self.bar and self.ratios else None

    def as_dict(self) -> dict[str, object]:
        """The form it has in `results.json`; the spread are the quartiles."""
        values = spread(self.ratios) if self.ratios else None
        told = {"unit": self.unit, "note": self.note, "seconds": dict(self.seconds)}
        told |= {"why": self.why} if self.met is False else {}
        told |= {"skipped": self.skipped} if self.skipped else {}
        return {
            "name": self.name,
            "ratio": None if values is None else values.pop("median"),
            "spread": values,
            "bar": None if self.bar is None else self.bar.as_dict(),
            "met": self.met,
            **{name: value for name, value in told.items() if value},
        }


def shown(rows: Sequence[Row]) -> Table:
    """The rows for the terminal."""
    table = Table("row", "ratio", "quartiles", "bar", "met", "")
    for row in rows:
        values = spread(row.ratios) if row.ratios else None
        ratio = "" if values is None else f"{values['median']:.3g} {row.unit}"
        quartiles = "" if values is None else f"[{values['low']:.3g}, {values['high']:.3g}]"
        met = {True: "yes", False: "no", None: "skipped" if row.skipped else ""}[row.met]
        told = row.skipped or (f"{row.note} {row.why}".strip() if row.met is False else row.note)
        table.add_row(row.name, ratio, quartiles, "" if row.bar is None else str(row.bar), met, told)
    return table


def devices() -> list[torch.device]:
    """Where steps are timed: the CPU, and a GPU where there is one."""
    return [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]


def machine() -> dict[str, object]:
    """What was measured on; `load` above 0 at the start means that other work ran beside it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def command(rows: Callable[[bool], Sequence[Row]]) -> None:
    """The command line of one benchmark.

    Args:
        rows: measures, at a tiny size if its argument is true.
    """

    def main(
        quick: Annotated[bool, typer.Option("--quick", help="A tiny size: does it run?")] = False,
        threads: Annotated[int, typer.Option(min=1, help="Of torch on the CPU.")] = os.cpu_count() or 1,
        output: Annotated[Path | None, typer.Option(help="A JSON file for machine and rows.")] = None,
    ) -> None:
        torch.set_num_threads(threads)
        described = machine()
        measured = rows(quick)
        Console().print(shown(measured))
        if output is not None:
            write_json(output, {"machine": described, "rows": [row.as_dict() for row in measured]})

    typer.run(main)
