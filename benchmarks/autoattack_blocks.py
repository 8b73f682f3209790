"""AutoAttack through our loop, in one process and in two, against `pyautoattack` called by itself on the same model, images, blocks
and seeds: the flags must be the same.

A small network on real digits, and an ε so small that each of the four attacks has examples left to work on.

    python benchmarks/autoattack_blocks.py [--quick]
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyautoattack
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from measuring import Bar, Row, Step, command, same_round, spread, timed
from pag.attacks.autoattack import AutoAttack
from pag.attacks.autoattack_parts import STANDARD
from pag.attacks.threats import Threat
from pag.base.randomness import numpy_stream
from pag.evaluation.accuracy import evaluate
from pag.evaluation.blocks import Blocks
from pag.networks.architectures import build

BLOCKS, THREAT, SEED = 4, Threat("linf", 0.02), 0
BARS = {"one process": Bar(at_most=1.03), "two processes": Bar(at_least=1.7)}
NAME = "AutoAttack through our loop"
WHY = "The start of two processes, which import torch, is a tenth of their time at this size."


def loaded(state: Mapping[str, Tensor]) -> nn.Module:
    """A classifier with given weights: what each process calls."""
    model = network()
    model.load_state_dict(dict(state))
    return model.eval()


def network() -> nn.Module:
    """A small convolutional network for the digits."""
    return build("resnet", (1, 8, 8), 10, channels=(16, 32), blocks=(1, 1), norm="none", activation="silu")


@dataclass
class Evaluation:
    """A trained network, its first images, and the flags that each way found.

    Attributes:
        state: the weights.
        x, labels: `(N, 1, 8, 8)` in [0, 1] and `(N,)`.
        block_size: images of a block.
        attacks: names out of AutoAttack's four, in order.
        flags: by way, `(N,)` bool, robust or not.
    """

    state: Mapping[str, Tensor]
    x: Tensor
    labels: Tensor
    block_size: int
    attacks: tuple[str, ...]
    flags: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def ours(self, workers: int) -> None:
        """Through `pag.evaluation.accuracy`."""
        attacks = {"": AutoAttack(THREAT, self.attacks)}
        blocks = Blocks(self.block_size, SEED, workers)
        outcome = evaluate(partial(loaded, self.state), self.x, self.labels, attacks, blocks)[""]
        self.flags[f"ours, {workers}"] = outcome.withstood

    def start(self) -> None:
        """Little else than the start of two processes."""
        replace(self, x=self.x[:2], labels=self.labels[:2], block_size=1, attacks=STANDARD[:1], flags={}).ours(2)

    def direct(self) -> None:
        """Through `pyautoattack`, a call a block, with the seeds that our loop gives the blocks; one thread, as there."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        model, robust = loaded(self.state), []
        for index, (x, y) in enumerate(
            zip(self.x.split(self.block_size), self.labels.split(self.block_size), strict=True)
        ):
            seed = int(numpy_stream(SEED, f"AutoAttack {THREAT.norm} {THREAT.eps!r}", index).integers(2**31))
            suite = pyautoattack.AutoAttack(model, norm="Linf", eps=THREAT.eps, seed=seed, version="standard")
            suite.attacks_to_run = list(self.attacks)
            x_adv, _ = suite.run_standard_evaluation(x, y, batch_size=self.block_size)
            with torch.no_grad():
                robust.append(model(x_adv).argmax(dim=1) == y)
        torch.set_num_threads(threads)
        self.flags["direct"] = torch.cat(robust).numpy()


def evaluation(quick: bool) -> Evaluation:
    """A network trained for some steps on the images that it is then attacked on."""
    from sklearn.datasets import load_digits  # not above: each process that takes blocks would import it

    torch.manual_seed(0)
    digits, model = load_digits(), network()
    x = torch.from_numpy(digits.images / 16).float()[:, None]
    labels = torch.from_numpy(digits.target).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for index in torch.randint(len(x), (20 if quick else 300, 64)):
        optimizer.zero_grad()
        functional.cross_entropy(model(x[index]), labels[index]).backward()
        optimizer.step()
    size = 4 if quick else 8
    attacks = STANDARD[:1] if quick else STANDARD
    return Evaluation(model.state_dict(), x[: BLOCKS * size], labels[: BLOCKS * size], size, attacks)


def rows(quick: bool) -> list[Row]:
    """A row for one process, and one for two where there are two cores.

    Raises:
        RuntimeError: the flags differ.
    """
    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    given, two = evaluation(quick), not quick and (os.cpu_count() or 1) >= 2
    ways: dict[str, Step] = {"direct": given.direct, "ours, 1": lambda: given.ours(1)}
    ways |= {"ours, 2": lambda: given.ours(2), "start of two": given.start} if two else {}
    seconds = timed(ways, 1 if quick else 2, "AutoAttack", warm_up=0)
    if any(not np.array_equal(flags, given.flags["direct"]) for flags in given.flags.values()):
        raise RuntimeError("Our loop and pyautoattack give different flags.")
    return _rows(given, seconds, two)


def _rows(given: Evaluation, seconds: Mapping[str, list[float]], two: bool) -> list[Row]:
    medians = {way: spread(values)["median"] for way, values in seconds.items()}
    note = (
        f"The same flags in each way: {int(given.flags['direct'].sum())} of {len(given.labels)} robust, "
        f"{BLOCKS} blocks; {', '.join(given.attacks)}."
    )
    one = Row(f"{NAME}: over pyautoattack's time, one process", BARS["one process"],
              same_round(seconds["ours, 1"], seconds["direct"]), note=note, seconds=medians)  # fmt: skip
    name, bar = f"{NAME}: faster than pyautoattack, two processes", BARS["two processes"]
    if not two:
        return [one, Row(name, bar, skipped="It needs two cores, and more than the quick size.")]
    started = f"{note} The start of two processes, which import torch, is part: {medians['start of two']:.1f} s."
    return [
        one,
        Row(name, bar, same_round(seconds["direct"], seconds["ours, 2"]), note=started, why=WHY, seconds=medians),
    ]


if __name__ == "__main__":
    command(rows)
