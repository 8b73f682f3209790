"""How long a training step of the alignment objective takes, against plain and adversarial training (appendix H).

One network and one batch, and in turn one step of each method, again and again in one process: whatever else the machine does falls
on all of them alike. What counts are ratios, each of two steps of the same round: their median, and the quartiles as spread.

    python benchmarks/runtime.py                                         # ResNet-18, batches of 1 and of 64
    python benchmarks/runtime.py --architecture-width 8 --repeats 10     # a slow CPU
    python benchmarks/runtime.py --quick                                 # does it run?
"""

import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from measuring import ratios, spread, timed
from pag.base.json_files import write_json
from pag.training.objectives import Objective
from steps import adversarial, aligned, plain, training_step

ALIGNED = {"aligned, k = 1": 1, "aligned, k = 2": 2, "aligned, k = 10": 10}
ADVERSARIAL = {"AT, PGD-7": 7, "AT, PGD-20": 20}
OUTPUT = Path(__file__).with_suffix(".json")


def compared(seconds: Mapping[str, Sequence[float]]) -> list[dict[str, object]]:
    """The table of one batch size.

    Args:
        seconds: of each method, by round; `plain` and both adversarial ones among them.

    Returns:
        For each method its seconds, how many times longer it takes than plain training, and how many times longer each adversarial
        training takes than it: the paper's 2.13 and 6.14.
    """
    return [
        {
            "name": name,
            "seconds": spread(values),
            "over_plain": ratios(values, seconds["plain"]),
            "faster_than": {at: ratios(seconds[at], values) for at in ADVERSARIAL},
        }
        for name, values in seconds.items()
    ]


def objectives() -> dict[str, tuple[Objective, int]]:
    """What is timed: the objectives by name, with the number k of classes that they align."""
    methods: dict[str, tuple[Objective, int]] = {"plain": (plain(), 0)}
    methods |= {name: (aligned(), k) for name, k in ALIGNED.items()}
    return methods | {name: (adversarial(steps), 0) for name, steps in ADVERSARIAL.items()}


def shown(batch_size: int, rows: Sequence[dict[str, object]]) -> Table:
    """The table of one batch size, for the terminal."""
    heads = ("one step of", "ms", "over plain", *(f"{name} over it" for name in ADVERSARIAL))
    table = Table(*heads, title=f"Batch of {batch_size}: median, and quartiles in brackets")
    for row in rows:
        spreads = [row["over_plain"], *row["faster_than"].values()]  # type: ignore[attr-defined]
        milliseconds = f"{1e3 * row['seconds']['median']:.1f}"  # type: ignore[index]
        told = [f"{s['median']:.2f} [{s['low']:.2f}, {s['high']:.2f}]" for s in spreads]
        table.add_row(str(row["name"]), milliseconds, *told)
    return table


def main(
    architecture_width: Annotated[int, typer.Option(min=1, help="Channels of the first stage; ResNet-18 has 64.")] = 64,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; each runs every method once.")] = 20,
    batch_sizes: Annotated[str, typer.Option(help="Examples a step, with commas.")] = "1,64",
    threads: Annotated[int, typer.Option(min=1, help="Of torch on the CPU.")] = 1,
    output: Annotated[Path, typer.Option(help="Where the tables go, as JSON.")] = OUTPUT,
    quick: Annotated[bool, typer.Option("--quick", help="Width 4 and 3 rounds, whatever else is given.")] = False,
) -> None:
    """Times a step of each method in turn, prints a table for each batch size and writes them as JSON."""
    if quick:
        architecture_width, repeats = 4, 3
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", batch_sizes):
        raise typer.BadParameter(f"--batch-sizes takes numbers with commas, not {batch_sizes!r}.")
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tables = []
    for size in (int(part) for part in batch_sizes.split(",")):
        steps = {n: training_step(o, k, size, architecture_width, device) for n, (o, k) in objectives().items()}
        rows = compared(timed(steps, repeats, f"batch of {size}"))
        Console(width=120).print(shown(size, rows))
        tables.append({"batch_size": size, "steps": rows})
    hardware = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    run = {"hardware": hardware, "threads": threads, "torch": torch.__version__}
    write_json(output, run | {"architecture_width": architecture_width, "repeats": repeats, "batches": tables})


if __name__ == "__main__":
    typer.run(main)
