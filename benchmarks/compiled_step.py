"""The alignment step on ResNet-18 with its passes compiled by torch, against the same step as eager code.

python benchmarks/compiled_step.py [--quick]
"""

import time

import torch

from measuring import Bar, Row, command, devices, same_round, spread, timed
from steps import aligned, training_step

BAR = Bar(at_least=1.0)
WHY = (
    "On the CPU, by torch.profiler at a width of 32, convolutions are three quarters of the eager step and take the same time in "
    "both; for the rest, most of it batch norm, the generated code takes twice as long as torch's own kernels."
)


def rows(quick: bool) -> list[Row]:
    """One row for each k and device."""
    return [_row(device, k, quick) for device in devices() for k in ((1,) if quick else (1, 10))]


def _row(device: torch.device, k: int, quick: bool) -> Row:
    batch_size, width, repeats = (2, 4, 2) if quick else (16, 64, 3)
    eager, compiled = (
        training_step(aligned(), k, batch_size, width, device, compiled=compiled) for compiled in (False, True)
    )
    started = time.perf_counter()
    compiled()
    note = f"The first step, in which it is compiled, takes {time.perf_counter() - started:.0f} s."
    seconds = timed({"eager": eager, "compiled": compiled}, repeats, f"compiled step, k = {k}, {device.type}")
    return Row(
        f"alignment step, k = {k}, batch of {batch_size}: compiled, faster than eager ({device.type})", BAR,
        same_round(seconds["eager"], seconds["compiled"]), note=note, why=WHY,
        seconds={form: spread(values)["median"] for form, values in seconds.items()},
    )  # fmt: skip


if __name__ == "__main__":
    command(rows)
