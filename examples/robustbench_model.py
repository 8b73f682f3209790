"""A model evaluated by RobustBench's conventions: any `nn.Module` from pixels in [0, 1] to logits, L∞ 8/255 and L2 0.5.

    python examples/robustbench_model.py            # a random network stands in for a model; its numbers mean nothing
    python examples/robustbench_model.py --quick    # fewer images, and one attack instead of four

RobustBench is not among the dependencies of this package. Where it is installed, its model takes the network's place:

    from robustbench.data import load_cifar10
    from robustbench.utils import load_model

    model = load_model("Engstrom2019Robustness", dataset="cifar10", threat_model="L2").eval()
    images, labels = load_cifar10(n_examples=1000)
    print(report(model, images, labels, workers=8))

RobustBench counts the first n images of the test set under AutoAttack's standard version, which is what stands below. Beside that
there are intervals, and checks of whether the number is to be believed; their further attacks can lower it.
"""

import argparse
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

import pag

THREATS: Mapping[str, pag.Threat] = {"Linf": pag.Threat("linf", 8 / 255), "L2": pag.Threat("l2", 0.5)}
QUICK = partial(pag.AutoAttack, attacks=("apgd-ce",))


def report(model: nn.Module, images: Tensor, labels: Tensor, workers: int = 1, quick: bool = False) -> pag.Evaluation:
    """Clean and robust accuracy.

    Args:
        model: `(B, ch, H, W)` in [0, 1] to logits `(B, C)`, in evaluation mode; it normalises them itself.
        images: `(N, ch, H, W)` in [0, 1].
        labels: `(N,)` int64.
        workers: processes that attack, each with one thread; on a GPU one is enough.
        quick: whether one attack stands for all four.
    """
    attack = QUICK if quick else pag.AutoAttack
    return pag.evaluate(model, images, labels, THREATS, attack=attack, workers=workers, block_size=250)


class Stub(nn.Module):
    """In place of a model: a random network of CIFAR-10's shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 5, 4), nn.SiLU(), nn.Flatten(), nn.Linear(16 * 7 * 7, 10))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers((x - 0.5) / 0.25)
        return logits


def main(quick: bool) -> None:
    torch.manual_seed(0)
    model, count = Stub().eval(), 8 if quick else 64
    images = torch.rand(count, 3, 32, 32)
    labels = model(images).argmax(dim=1)  # so that there is something to attack
    print(report(model, images, labels, quick=quick))
    print("A random network on random images, labelled by itself: these numbers mean nothing.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
