"""Laws of gradient-norm regularisation: its definition, what it is to first order, and alignment on top of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from pag.attacks.threats import Threat
from pag.training.network import EagerNetwork
from pag.training.objectives import Alignment, Batch, CrossEntropy, GradientNorm

C, D, B = 4, 6, 5


@pytest.fixture
def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(D, 8), nn.SiLU(), nn.Linear(8, C)).double()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(B, 1, 2, 3, generator=generator, dtype=torch.float64)
    targets = torch.randn(B, C, 1, 2, 3, generator=generator, dtype=torch.float64)
    return Batch(x, torch.randint(C, (B,), generator=generator), torch.arange(C).expand(B, C), targets)


def _gradients(loss, model):
    return torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize(("norm", "q"), [("l2", 2), ("linf", 1)])
def test_it_is_cross_entropy_plus_the_size_of_its_gradient_in_the_dual_norm(model, batch, norm, q):
    parts = GradientNorm(norm, 0.7)(EagerNetwork(model), batch, torch.Generator())
    x = batch.x.clone().requires_grad_()
    losses = functional.cross_entropy(model(x), batch.labels, reduction="none")
    (v,) = torch.autograd.grad(losses.sum(), x, create_graph=True)
    expected = losses.mean() + 0.7 * v.flatten(1).norm(p=q, dim=1).mean()
    torch.testing.assert_close(parts["loss"], expected)
    for actual, wanted in zip(_gradients(parts["loss"], model), _gradients(expected, model), strict=True):
        torch.testing.assert_close(actual, wanted)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_to_first_order_it_is_the_loss_under_the_best_step_of_that_length(model, batch, norm):
    eps = 1e-6
    found = GradientNorm(norm, eps)(EagerNetwork(model), batch, torch.Generator())["loss"]
    x = batch.x.clone().requires_grad_()
    plain = functional.cross_entropy(model(x), batch.labels)
    (v,) = torch.autograd.grad(B * plain, x)
    attacked = functional.cross_entropy(model(batch.x + eps * Threat(norm, 1.0).steepest(v)), batch.labels)
    assert attacked > plain
    torch.testing.assert_close(found - plain, attacked - plain, rtol=1e-4, atol=0)


def test_without_weight_it_is_cross_entropy(model, batch):
    losses = [
        o(EagerNetwork(model), batch, torch.Generator())["loss"] for o in (GradientNorm("l2", 0.0), CrossEntropy())
    ]
    torch.testing.assert_close(*losses)


def test_alignment_adds_its_term(model, batch):
    plain = GradientNorm("linf", 0.3)(EagerNetwork(model), batch, torch.Generator())
    aligned = Alignment(0.7, C, "log_softmax", GradientNorm("linf", 0.3))(EagerNetwork(model), batch, torch.Generator())
    torch.testing.assert_close(aligned["loss"], plain["loss"] + 0.7 * C * (1 - aligned["cosine"]))
    assert aligned.keys() == {"loss", "cross_entropy", "gradient_norm", "cosine"}
