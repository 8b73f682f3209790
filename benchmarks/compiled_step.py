"""The alignment step on ResNet-18 with its passes compiled by torch, against the same step as eager code; on a GPU.

On a CPU compiling this network takes minutes and gains nothing (docs/cost.md): there only the quick size runs.

    python benchmarks/compiled_step.py [--quick]
"""

import time

import torch

from measuring import Bar, Row, command, same_round, spread, timed
from steps import aligned, training_step

BAR = Bar(at_least=1.0)
BATCH_SIZE, CLASSES = 16, (1, 10)


def rows(quick: bool) -> list[Row]:
    """One row for each k."""
    if quick:
        return [_row(torch.device("cpu"), 1, batch_size=2, width=4, repeats=2)]
    if torch.cuda.is_available():
        return [_row(torch.device("cuda"), k, BATCH_SIZE, width=64, repeats=8) for k in CLASSES]
    return [Row(_name("cuda", k, BATCH_SIZE), BAR, skipped="There is no GPU.") for k in CLASSES]


def _name(kind: str, k: int, batch_size: int) -> str:
    return f"alignment step, k = {k}, batch of {batch_size}: compiled, faster than eager ({kind})"


def _row(device: torch.device, k: int, batch_size: int, width: int, repeats: int) -> Row:
    eager, compiled = (
        training_step(aligned(), k, batch_size, width, device, compiled=compiled) for compiled in (False, True)
    )
    started = time.perf_counter()
    compiled()
    note = f"The first step, in which it is compiled, takes {time.perf_counter() - started:.0f} s."
    seconds = timed({"eager": eager, "compiled": compiled}, repeats, f"compiled step, k = {k}, {device.type}")
    medians = {form: spread(values)["median"] for form, values in seconds.items()}
    faster = same_round(seconds["eager"], seconds["compiled"])
    return Row(_name(device.type, k, batch_size), BAR, faster, note=note, seconds=medians)


if __name__ == "__main__":
    command(rows)
