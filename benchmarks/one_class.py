"""The alignment step of one class against plain and adversarial training: the paper's claim of appendix H, at two batch sizes.

The larger batch is 16, for want of time: `benchmarks/runtime.py --batch-sizes 1,64` has 64.

    python benchmarks/one_class.py [--quick]
"""

from collections.abc import Mapping, Sequence

import torch

from measuring import Bar, Row, command, devices, same_round, spread, timed
from pag.training.objectives import Objective
from steps import adversarial, aligned, plain, training_step

BATCH_SIZES = {1: 12, 16: 4}  # with the rounds of each
WARM_UP = 4  # until the allocator has found how much memory to keep
WHY = (
    "Counted operations are 2.04 times a plain step's. At a batch of 1 PGD-20 should take 14.3 plain steps by its operations, but "
    "takes 12: it needs the weights' gradients just once, and these take two fifths of a plain step there, since writing and "
    "updating 11 million weights costs as much as the products."
)
BARS = {"plain": Bar(at_most=2.3), "PGD-7": Bar(at_least=2.1), "PGD-20": Bar(at_least=5.3)}


def rows(quick: bool) -> list[Row]:
    """Three rows for each batch size and device."""
    return [
        row
        for device in devices()
        for batch_size, repeats in ({1: 2} if quick else BATCH_SIZES).items()
        for row in _compared(device.type, batch_size, _seconds(batch_size, 4 if quick else 64, repeats, device))
    ]


def _seconds(batch_size: int, width: int, repeats: int, device: torch.device) -> dict[str, list[float]]:
    objectives: dict[str, tuple[Objective, int]] = {
        "plain": (plain(), 0), "k = 1": (aligned(), 1), "PGD-7": (adversarial(7), 0), "PGD-20": (adversarial(20), 0),
    }  # fmt: skip
    steps = {name: training_step(of, k, batch_size, width, device) for name, (of, k) in objectives.items()}
    return timed(steps, repeats, f"k = 1, batch of {batch_size}", warm_up=WARM_UP)


def _compared(kind: str, batch_size: int, seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    where = f"batch of {batch_size} ({kind})"
    medians = {name: spread(values)["median"] for name, values in seconds.items()}
    over = same_round(seconds["k = 1"], seconds["plain"])
    of_plain = Row(f"alignment step, k = 1: over a plain step, {where}", BARS["plain"], over, why=WHY, seconds=medians)
    faster = [
        Row(
            f"alignment step, k = 1: faster than {attack}, {where}", BARS[attack],
            same_round(seconds[attack], seconds["k = 1"]), why=WHY, seconds=medians,
        )
        for attack in ("PGD-7", "PGD-20")
    ]  # fmt: skip
    return [of_plain, *faster]


if __name__ == "__main__":
    command(rows)
