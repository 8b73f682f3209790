"""A step of each objective over a plain one, beside the ratio that counted operations give, on resnet8 and ResNet-18.

python benchmarks/objectives.py [--quick]
"""

from collections.abc import Mapping

import torch

from measuring import Bar, Row, command, devices, same_round, spread, timed
from pag.training.network import EagerNetwork
from pag.training.objectives import AlignedMargin, Alignment, BaseObjective
from steps import (
    CLASSES,
    DIGITS,
    SHAPE,
    adversarial,
    aligned,
    aligned_margin,
    gradient_norm,
    plain,
    random_batch,
    resnet8,
    resnet18,
    step_of,
)

PLAIN, MARGIN, PGD_7 = "plain", "aligned margin, k = 1", "PGD-7"
OBJECTIVES: Mapping[str, BaseObjective | Alignment | AlignedMargin] = {
    PLAIN: plain(), "alignment, k = 1": aligned(), MARGIN: aligned_margin(), "FGSM": adversarial(1),
    "gradient norm": gradient_norm(), PGD_7: adversarial(7),
}  # fmt: skip
BATCH_SIZES = {"resnet8": 64, "ResNet-18": 8}
HALF = Bar(at_least=2.0)  # of PGD-7's cost


def rows(quick: bool) -> list[Row]:
    """A row for each network, device and objective."""
    return [row for device in devices() for network in BATCH_SIZES for row in _rows(network, device, quick)]


def _rows(name: str, device: torch.device, quick: bool) -> list[Row]:
    batch_size, repeats = (2, 2) if quick else (BATCH_SIZES[name], 8)
    shape, steps = DIGITS if name == "resnet8" else SHAPE, {}
    for label, objective in OBJECTIVES.items():
        model = resnet8(CLASSES, device) if name == "resnet8" else resnet18(4 if quick else 64, CLASSES, device)
        given = random_batch(batch_size, CLASSES, 1, device, shape)
        steps[label] = step_of(EagerNetwork(model), objective, given, device)
    seconds = timed(steps, repeats, f"objectives, {name}")
    where = f"{name}, batch of {batch_size} ({device.type})"
    medians = {label: spread(values)["median"] for label, values in seconds.items()}
    over_plain = [
        Row(
            f"{label}: over a plain step, {where}", None, same_round(seconds[label], seconds[PLAIN]),
            note=f"Counted operations: {objective.forwards_per_step(1) / 3:.3g}.", seconds=medians,
        )
        for label, objective in OBJECTIVES.items() if label != PLAIN
    ]  # fmt: skip
    faster = same_round(seconds[PGD_7], seconds[MARGIN])
    return [*over_plain, Row(f"{MARGIN}: faster than {PGD_7}, {where}", HALF, faster, seconds=medians)]


if __name__ == "__main__":
    command(rows)
