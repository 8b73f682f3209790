"""Laws of the alignment loss in one call: it is the objective's term, unbiased under draws of classes; shapes must fit."""

import copy
from itertools import combinations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pag.alignment.gradients import cosine, input_gradients
from pag.alignment.loss import alignment_loss
from pag.base.errors import InputError
from pag.training.network import EagerNetwork
from pag.training.objectives import Alignment, Batch

B, C = 5, 4


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3, padding=1), nn.SiLU(), nn.Conv2d(6, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(16, C)]
    return nn.Sequential(*layers).double()


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(B, 1, 4, 4, generator=generator, dtype=torch.float64)
    targets = torch.randn(B, C, 1, 4, 4, generator=generator, dtype=torch.float64)
    return x, torch.arange(B) % C, targets


def every():
    return torch.arange(C).expand(B, -1)


@pytest.mark.parametrize("scale", ["expectation", "drawn"])
@pytest.mark.parametrize("of", ["log_softmax", "logit"])
@pytest.mark.parametrize("k", [1, 2, C])
def test_it_is_the_term_that_the_objective_has_and_gives_its_gradient(given, of, scale, k):
    x, labels, targets = given
    ours, theirs, classes = network(), network(), torch.stack([torch.randperm(C)[:k] for _ in range(B)])
    g = targets[torch.arange(B)[:, None], classes]
    aligned = alignment_loss(ours, x, classes, g, of=of, scale=scale)
    loss = cross_entropy(aligned.logits, labels) + 0.7 * aligned.loss
    objective = Alignment(0.7, C, of, classes_scale=scale)
    expected = objective(EagerNetwork(theirs), Batch(x, labels, classes, g), torch.Generator())
    torch.testing.assert_close(loss, expected["loss"], rtol=1e-12, atol=0)
    torch.testing.assert_close(aligned.cosine, expected["cosine"], rtol=1e-12, atol=0)
    loss.backward()
    expected["loss"].backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-14)


def test_its_value_is_that_of_equation_4(given):
    x, _, targets = given
    gradients, logits = input_gradients(network(), x, every(), "log_softmax")
    aligned = alignment_loss(network(), x, every(), targets)
    torch.testing.assert_close(aligned.loss.detach(), (1 - cosine(gradients, targets)).sum(dim=1).mean())
    torch.testing.assert_close(aligned.logits.detach(), logits)


def test_over_all_draws_its_mean_is_the_sum_over_all_classes(given):
    x, _, targets = given
    model = network()
    draws = [torch.tensor(pair).expand(B, -1) for pair in combinations(range(C), 2)]
    losses = [alignment_loss(model, x, classes, targets[:, classes[0]]).loss.detach() for classes in draws]
    whole = alignment_loss(model, x, every(), targets).loss.detach()
    torch.testing.assert_close(torch.stack(losses).mean(), whole, rtol=1e-12, atol=0)


def test_in_autocast_passes_have_its_type_and_the_loss_that_of_the_images(given):
    x, labels, targets = (value.float() if value.is_floating_point() else value for value in given)
    model = network().float()
    exact = alignment_loss(copy.deepcopy(model), x, every(), targets)
    with torch.autocast("cpu", torch.bfloat16):
        aligned = alignment_loss(model, x, every(), targets)
        loss = cross_entropy(aligned.logits, labels) + aligned.loss
    loss.backward()
    assert aligned.logits.dtype == torch.bfloat16
    assert aligned.loss.dtype == torch.float32
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in list(model.parameters())[::2])
    torch.testing.assert_close(aligned.cosine, exact.cosine, rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("classes", "targets"),
    [((B, 2), (B, C, 1, 4, 4)), ((B - 1, C), (B - 1, C, 1, 4, 4)), ((B,), (B, 1, 4, 4)), ((B, C), (B, C, 1, 4, 5))],
)
def test_shapes_that_do_not_fit_are_told(given, classes, targets):
    with pytest.raises(InputError, match=r"Targets \(.*\) and classes \(.*\) do not fit inputs \(5, 1, 4, 4\)"):
        alignment_loss(network(), given[0], torch.zeros(classes, dtype=torch.long), torch.zeros(targets))
