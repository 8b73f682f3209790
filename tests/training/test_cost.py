"""What a step costs: the count of each objective against the operations that torch dispatches."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.training.network import EagerNetwork
from pag.training.objectives import (
    AdversarialTraining,
    AlignedMargin,
    Alignment,
    Batch,
    CrossEntropy,
    GradientNorm,
    StoredTargets,
    Trades,
    draw_classes,
)

C, B, SHAPE = 4, 3, (1, 8, 8)
THREAT = Threat("l2", 0.5)
PGD_3, FGSM = (PGD(THREAT, steps, 0.2, random_start=True) for steps in (3, 1))
TRADES = Trades(PGD(THREAT, 3, 0.2, random_start=True, loss="kl"), 6.0)
CASES = {
    "vanilla": (CrossEntropy(), 0, 3),
    "aligned, k = 1": (Alignment(1.0, C, "log_softmax"), 1, 6),
    "aligned, k = 3": (Alignment(1.0, C, "log_softmax"), 3, 12),
    "FGSM": (AdversarialTraining(FGSM), 0, 5),
    "PGD-3": (AdversarialTraining(PGD_3), 0, 9),
    "PGD-3, aligned": (Alignment(1.0, C, "log_softmax", AdversarialTraining(PGD_3)), 1, 15),
    "TRADES": (TRADES, 0, 13),
    "TRADES, aligned": (Alignment(1.0, C, "log_softmax", TRADES), 1, 16),
    "gradient norm": (GradientNorm("linf", 0.1), 0, 6),
    "gradient norm, aligned": (Alignment(1.0, C, "log_softmax", GradientNorm("linf", 0.1)), 2, 15),
    "aligned margin, k = 1": (AlignedMargin(THREAT, 1.0, C), 1, 7),
    "aligned margin, k = 3": (AlignedMargin(THREAT, 1.0, C), 3, 13),
    "aligned margin, random path": (AlignedMargin(THREAT, 1.0, C, path="random"), 1, 6),
    "aligned margin, no path": (AlignedMargin(THREAT, 1.0, C, path="none"), 1, 6),
    "aligned margin, no alignment": (AlignedMargin(THREAT, 0.0, C), 1, 7),
    "aligned margin, no margin": (AlignedMargin(THREAT, 1.0, C, margin=0.0), 1, 7),
    "aligned margin, path alone": (AlignedMargin(THREAT, 0.0, C, margin=0.0), 1, 4),
}


def _network():
    """The first layer, which has no gradient to inputs in a plain step, and the last one are a small part of the work."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.SiLU()]
    for inputs, outputs in ((8, 32), (32, 32), (32, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.SiLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, C))


def _batch(k):
    generator = torch.Generator().manual_seed(0)
    x, g = torch.rand(B, *SHAPE, generator=generator), torch.randn(B, C, *SHAPE, generator=generator)
    image, classes = torch.arange(B)[:, None], draw_classes(B, C, k, generator)
    stored = StoredTargets(torch.arange(C).expand(B, C), k, lambda of: g[image, of])
    return Batch(x, torch.arange(B) % C, classes, g[image, classes], stored=stored)


class Counter(TorchDispatchMode):
    """Counts by the formulas of torch's `FlopCounterMode`, whose hooks on modules fail where inputs are differentiated."""

    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.flops += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def _flops(run):
    with Counter() as counter:
        run()
    return counter.flops


@pytest.mark.parametrize("case", CASES)
def test_a_step_costs_as_many_forward_passes_as_its_objective_says(case):
    objective, k, expected = CASES[case]
    assert objective.forwards_per_step(k) == expected
    model, batch, generator = _network(), _batch(max(k, 1)), torch.Generator().manual_seed(1)
    with torch.no_grad():
        forward = _flops(lambda: model(batch.x))
    step = _flops(lambda: objective(EagerNetwork(model), batch, generator)["loss"].backward())
    assert step / forward == pytest.approx(expected, rel=0.03)
