"""How long a training step of the alignment objective takes, against plain and adversarial training (appendix H).

One network and one batch, and in turn one step of each method, again and again in one process: whatever else the machine does falls
on all of them alike. What counts are ratios, each of two steps of the same round: their median, and the quartiles as spread.

    python benchmarks/runtime.py                                         # ResNet-18, batches of 1 and of 64
    python benchmarks/runtime.py --architecture-width 8 --repeats 10     # a slow CPU
    python benchmarks/runtime.py --quick                                 # does it run?
"""

import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from pag.architectures import build
from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.files import write_json
from pag.objectives import AdversarialTraining, Alignment, Batch, CrossEntropy, Objective, draw_classes
from pag.progress import progress
from pag.randomness import torch_stream

SHAPE, CLASSES = (3, 32, 32), 10
EPS = 0.5
ALIGNED = {"aligned, k = 1": 1, "aligned, k = 2": 2, "aligned, k = 10": 10}
ADVERSARIAL = {"AT, PGD-7": 7, "AT, PGD-20": 20}
WARM_UP = 2  # rounds that are not counted
OUTPUT = Path(__file__).with_suffix(".json")

Step = Callable[[], None]
Spread = dict[str, float]


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles."""
    low, median, high = np.quantile(np.asarray(values, dtype=np.float64), [0.25, 0.5, 0.75]).tolist()
    return {"median": median, "low": low, "high": high}


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """The spread of the ratio of two steps of the same round."""
    return spread([a / b for a, b in zip(numerator, denominator, strict=True)])


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
    timed: dict[str, tuple[Objective, int]] = {"plain": (CrossEntropy(), 0)}
    timed |= {name: (Alignment(weight=1.0, num_classes=CLASSES, of="log_softmax"), k) for name, k in ALIGNED.items()}
    attacks = {
        name: PGD(Threat("l2", EPS), steps, 1.5 * EPS / steps, random_start=True) for name, steps in ADVERSARIAL.items()
    }
    return timed | {name: (AdversarialTraining(attack), 0) for name, attack in attacks.items()}


def training_step(objective: Objective, k: int, batch_size: int, width: int, device: torch.device) -> Step:
    """A step of training a ResNet-18 of its own on random pixels: loss, gradients, SGD."""
    channels = tuple(width * factor for factor in (1, 2, 4, 8))
    torch.manual_seed(0)
    model = build("resnet", SHAPE, CLASSES, channels=channels, blocks=(2, 2, 2, 2), norm="batch", activation="relu")
    model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    generator = torch_stream(0, "benchmark", batch_size)
    x = torch.rand(batch_size, *SHAPE, generator=generator).to(device)
    labels = torch.randint(CLASSES, (batch_size,), generator=generator).to(device)
    classes = draw_classes(batch_size, CLASSES, k, generator).to(device) if k else None
    targets = torch.randn(batch_size, k, *SHAPE, generator=generator).to(device) if k else None
    batch = Batch(x, labels, classes, targets)

    def step() -> None:
        optimizer.zero_grad()
        objective(model, batch, generator)["loss"].backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def timed(steps: Mapping[str, Step], repeats: int, description: str) -> dict[str, list[float]]:
    """Seconds of each step, by round; in each round every step runs once."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    with progress(description, repeats + WARM_UP) as meter:
        for turn in range(repeats + WARM_UP):
            for name, step in steps.items():
                started = time.perf_counter()
                step()
                if turn >= WARM_UP:
                    seconds[name].append(time.perf_counter() - started)
            meter.advance()
    return seconds


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
