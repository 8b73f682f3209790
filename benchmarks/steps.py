"""Training steps that benchmarks time: plain, adversarial, aligned, the aligned margin, and aligned in the repeated-batch form."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from measuring import Step
from pag.alignment.gradients import cosine
from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.base.randomness import torch_stream
from pag.networks.architectures import build
from pag.training.network import CompiledNetwork, EagerNetwork
from pag.training.objectives import (
    AdversarialTraining,
    AlignedMargin,
    Alignment,
    Batch,
    CrossEntropy,
    GradientNorm,
    Network,
    Objective,
    StoredTargets,
    draw_classes,
)

__all__ = [
    "CLASSES",
    "DIGITS",
    "SHAPE",
    "RepeatedBatch",
    "adversarial",
    "aligned",
    "aligned_margin",
    "gradient_norm",
    "plain",
    "random_batch",
    "resnet8",
    "resnet18",
    "step_of",
    "training_step",
]

SHAPE, CLASSES = (3, 32, 32), 10
DIGITS = (1, 8, 8)
EPS = 0.5


def plain() -> CrossEntropy:
    """Standard training."""
    return CrossEntropy()


def aligned(num_classes: int = CLASSES) -> Alignment:
    """Our alignment training."""
    return Alignment(weight=1.0, num_classes=num_classes, of="log_softmax")


def adversarial(steps: int) -> AdversarialTraining:
    """Adversarial training by PGD."""
    return AdversarialTraining(PGD(Threat("l2", EPS), steps, 1.5 * EPS / steps, random_start=True))


def aligned_margin(num_classes: int = CLASSES) -> AlignedMargin:
    """Training by the aligned margin."""
    return AlignedMargin(Threat("l2", EPS), 1.0, num_classes)


def gradient_norm() -> GradientNorm:
    """Training by gradient-norm regularisation."""
    return GradientNorm("linf", 0.1)


@dataclass(frozen=True)
class RepeatedBatch:
    """Alignment as the paper's authors compute it: a pass for the cross-entropy, and one of every image k times for the gradients.

    Where examples do not mix, loss and gradients are those of `Alignment`.

    Attributes:
        weight: λ.
        num_classes: C.
    """

    weight: float
    num_classes: int

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        assert batch.classes is not None
        assert batch.targets is not None
        size, k = batch.classes.shape
        x = batch.x.repeat_interleave(k, dim=0).requires_grad_()
        logits = network(x)
        selected = functional.log_softmax(logits, dim=1).gather(1, batch.classes.reshape(-1, 1)).sum()
        (gradients,) = torch.autograd.grad(selected, x, create_graph=True)
        cos = cosine(gradients.reshape(size, k, *x.shape[1:]), batch.targets).mean()
        cross_entropy = functional.cross_entropy(network(batch.x), batch.labels)
        return {"loss": cross_entropy + self.weight * self.num_classes * (1 - cos)}


def resnet18(width: int, num_classes: int, device: torch.device) -> nn.Module:
    """An untrained ResNet-18 in training mode; 64 is its `width`, smaller ones are for a quick look."""
    channels = tuple(width * factor for factor in (1, 2, 4, 8))
    torch.manual_seed(0)
    model = build("resnet", SHAPE, num_classes, channels=channels, blocks=(2, 2, 2, 2), norm="batch", activation="relu")
    return model.to(device).train()


def resnet8(num_classes: int, device: torch.device) -> nn.Module:
    """The digits' network, untrained, in training mode."""
    torch.manual_seed(0)
    model = build(
        "resnet", DIGITS, num_classes, channels=(16, 32, 64), blocks=(1, 1, 1), norm="none", activation="silu"
    )
    return model.to(device).train()


def random_batch(
    batch_size: int, num_classes: int, k: int, device: torch.device, shape: tuple[int, ...] = SHAPE
) -> tuple[Batch, torch.Generator]:
    """Random pixels, labels, and k classes an image with targets (k = 0: none), and the generator for what is drawn next."""
    generator = torch_stream(0, "benchmark", batch_size)
    x = torch.rand(batch_size, *shape, generator=generator).to(device)
    labels = torch.randint(num_classes, (batch_size,), generator=generator).to(device)
    if not k:
        return Batch(x, labels), generator
    classes = draw_classes(batch_size, num_classes, k, generator).to(device)
    targets = torch.randn(batch_size, k, *shape, generator=generator).to(device)
    available = torch.arange(num_classes, device=device).expand(batch_size, -1)
    stored = StoredTargets(available, k, lambda asked: targets[:, : asked.shape[1]])
    return Batch(x, labels, classes, targets, stored=stored), generator


def training_step(
    objective: Objective,
    k: int,
    batch_size: int,
    width: int,
    device: torch.device,
    num_classes: int = CLASSES,
    compiled: bool = False,
) -> Step:
    """A step of training a ResNet-18 of its own on random pixels: loss, gradients, SGD."""
    model = resnet18(width, num_classes, device)
    network = CompiledNetwork(model) if compiled else EagerNetwork(model)
    return step_of(network, objective, random_batch(batch_size, num_classes, k, device), device)


def step_of(
    network: EagerNetwork, objective: Objective, given: tuple[Batch, torch.Generator], device: torch.device
) -> Step:
    """A step of training a network on a batch, again and again: loss, gradients, SGD."""
    optimizer, (batch, generator) = torch.optim.SGD(network.model.parameters(), lr=1e-3), given

    def step() -> None:
        optimizer.zero_grad()
        objective(network, batch, generator)["loss"].backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step
