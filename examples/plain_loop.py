"""Gradient alignment in a plain PyTorch loop, on images of one's own: here scikit-learn's digits, as arrays.

    python examples/plain_loop.py            # a minute on one core
    python examples/plain_loop.py --quick    # a few seconds; its numbers mean nothing

The network below has no batch norm and a smooth activation: the loss is a function of its input gradient, and so takes the second
derivative of every layer.
"""

import argparse
from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import pag


def digits() -> tuple[Tensor, Tensor]:
    """Images `(N, 1, 8, 8)` in [0, 1] and labels `(N,)`, in an order of chance: yours take their place."""
    data = load_digits()
    images, labels = torch.from_numpy(data.images).float()[:, None] / 16, torch.from_numpy(data.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order], labels[order]


def network() -> nn.Module:
    """Pixels in [0, 1] to 10 logits."""
    convolutions = [nn.Conv2d(1, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 64, 3, 2, padding=1), nn.SiLU()]
    return nn.Sequential(*convolutions, nn.Conv2d(64, 64, 3, 2, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(256, 10))


def train(images: Tensor, labels: Tensor, targets: Tensor, lambda_: float, epochs: int) -> nn.Module:
    """Minimises `L_CE + λ Σ_c [1 − cos(∇_x f(x)_c, g(x, c))]` (eq. 4), with one of the C classes drawn for each image and step."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(64):
            classes = pag.draw_classes(len(rows), 10, 1, generator)
            aligned = pag.alignment_loss(model, images[rows], classes, targets[rows[:, None], classes])
            loss = cross_entropy(aligned.logits, labels[rows]) + lambda_ * aligned.loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def main(quick: bool) -> None:
    images, labels = digits()
    epochs, training, tested = (30, 200, 20) if quick else (20, 1500, 200)
    x, y = images[:training], labels[:training]
    targets = pag.kernel_targets(x, y)  # any tensor g(x, c) of shape (N, C, ch, H, W) will do
    threats = {"l2": pag.Threat("l2", 0.9), "linf": pag.Threat("linf", 0.175)}
    # Two of AutoAttack's four, in a fifth of its time; without `attack` it is the whole.
    attack = partial(pag.AutoAttack, attacks=("apgd-ce",) if quick else ("apgd-ce", "apgd-t"))
    for lambda_ in (0.0, 2.0):
        model = train(x, y, targets, lambda_, epochs)
        evaluation = pag.evaluate(model, images[-tested:], labels[-tested:], threats, attack=attack)
        print(f"\nλ = {lambda_:g}\n{evaluation}")
    if quick:
        print("\nA quick run: these numbers mean nothing.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
