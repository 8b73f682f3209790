"""The alignment step, k = 10 of 10 on ResNet-18 with a batch of 16, against the authors' form of it: the batch repeated k times.

python benchmarks/repeated_batch.py [--quick]
"""

import torch

from measuring import Bar, Row, command, same_round, spread, timed
from pag.training.objectives import Objective
from steps import CLASSES, RepeatedBatch, aligned, training_step

WHY = (
    "Counted operations, as torch dispatches them, are 64 forward passes of the batch for the repeated batch and 34 for ours: 1.88 "
    "times; more can only come from memory and caches."
)
BARS = {"cpu": Bar(at_least=2.3), "cuda": Bar(at_least=3.0)}


def rows(quick: bool) -> list[Row]:
    """One row a kind of device."""
    return [_row(kind, quick) for kind in BARS]


def _row(kind: str, quick: bool) -> Row:
    name = f"alignment step, k = 10, batch of 16: faster than the repeated batch ({kind})"
    if kind == "cuda" and not torch.cuda.is_available():
        return Row(name, BARS[kind], skipped="There is no GPU.")
    batch_size, width, repeats = (2, 4, 2) if quick else (16, 64, 3)
    forms: dict[str, Objective] = {"ours": aligned(), "repeated": RepeatedBatch(weight=1.0, num_classes=CLASSES)}
    device = torch.device(kind)
    steps = {form: training_step(objective, CLASSES, batch_size, width, device) for form, objective in forms.items()}
    seconds = timed(steps, repeats, f"repeated batch, {kind}", warm_up=1)
    return Row(
        name, BARS[kind], same_round(seconds["repeated"], seconds["ours"]), why=WHY,
        seconds={form: spread(values)["median"] for form, values in seconds.items()},
    )  # fmt: skip


if __name__ == "__main__":
    command(rows)
