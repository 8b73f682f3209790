"""Laws of the objectives: eq. (4) by its definition, k of C in expectation, adversarial training against its attack."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.objectives import AdversarialTraining, Alignment, Batch, CrossEntropy, draw_classes

C, D, B = 4, 6, 5


@pytest.fixture
def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(D, 8), nn.SiLU(), nn.Linear(8, C)).double()


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(B, 1, 2, 3, generator=generator, dtype=torch.float64)
    targets = torch.randn(B, C, 1, 2, 3, generator=generator, dtype=torch.float64)
    return x, torch.randint(C, (B,), generator=generator), targets


def _by_definition(model, x, labels, targets, weight, of):
    """Eq. (4), example by example and class by class."""
    total = 0.0
    for i in range(B):
        point = x[i : i + 1].clone().requires_grad_()
        logits = model(point)
        outputs = logits if of == "logit" else logits.log_softmax(1)
        for c in range(C):
            (v,) = torch.autograd.grad(outputs[0, c], point, create_graph=True)
            total = total + weight * (1 - functional.cosine_similarity(v.flatten(), targets[i, c].flatten(), dim=0))
        total = total + functional.cross_entropy(logits, labels[i : i + 1])
    return total / B


@pytest.mark.parametrize("of", ["logit", "log_softmax"])
def test_all_classes_are_equation_4_exactly(model, data, of):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), targets)
    loss = Alignment(0.7, C, of)(model, batch, torch.Generator())["loss"]
    expected = _by_definition(model, x, labels, targets, 0.7, of)
    torch.testing.assert_close(loss, expected)
    actual_gradients = torch.autograd.grad(loss, list(model.parameters()))
    expected_gradients = torch.autograd.grad(expected, list(model.parameters()))
    for actual, wanted in zip(actual_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(actual, wanted)


def test_k_of_c_classes_average_to_all_classes(model, data):
    x, labels, targets = data
    objective = Alignment(0.7, C, "logit")
    whole = objective(model, Batch(x, labels, torch.arange(C).expand(B, C), targets), torch.Generator())["loss"]
    losses = []
    for pair in itertools.combinations(range(C), 2):
        classes = torch.tensor(pair).expand(B, 2)
        batch = Batch(x, labels, classes, targets[:, list(pair)])
        losses.append(objective(model, batch, torch.Generator())["loss"])
    torch.testing.assert_close(torch.stack(losses).mean(), whole)


def test_alignment_ignores_the_scale_of_targets(model, data):
    x, labels, targets = data
    classes = torch.arange(C).expand(B, C)
    objective = Alignment(1.0, C, "log_softmax")
    once = objective(model, Batch(x, labels, classes, targets), torch.Generator())["loss"]
    scaled = objective(model, Batch(x, labels, classes, 1e3 * targets), torch.Generator())["loss"]
    torch.testing.assert_close(once, scaled)


def test_a_zero_target_gives_finite_parameter_gradients(model, data):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), torch.zeros_like(targets))
    loss = Alignment(1.0, C, "logit")(model, batch, torch.Generator())["loss"]
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, list(model.parameters())))


def test_lambda_zero_is_cross_entropy(model, data):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), targets)
    aligned = Alignment(0.0, C, "logit")(model, batch, torch.Generator())["loss"]
    torch.testing.assert_close(aligned, CrossEntropy()(model, batch, torch.Generator())["loss"])


def test_every_parameter_gets_a_gradient_from_alignment_of_log_softmax(model, data):
    x, labels, targets = data
    batch = Batch(x, labels, torch.arange(C).expand(B, C), targets)
    Alignment(1.0, C, "log_softmax")(model, batch, torch.Generator())["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_adversarial_training_is_cross_entropy_at_the_attacks_points(model, data):
    x, labels, _ = data
    attack = PGD(Threat("l2", 0.5), steps=3, step_size=0.2, random_start=True)
    model.train()
    loss = AdversarialTraining(attack)(model, Batch(x, labels), torch.Generator().manual_seed(3))["loss"]
    x_adv = attack(model, x, labels, torch.Generator().manual_seed(3))
    torch.testing.assert_close(loss, functional.cross_entropy(model(x_adv), labels))
    assert model.training
    assert loss > functional.cross_entropy(model(x), labels)


def test_drawn_classes_are_distinct_and_uniform():
    classes = draw_classes(6000, 5, 2, torch.Generator().manual_seed(0))
    assert (classes[:, 0] != classes[:, 1]).all()
    frequency = torch.bincount(classes.flatten(), minlength=5) / classes.numel()
    torch.testing.assert_close(frequency, torch.full((5,), 0.2), atol=0.02, rtol=0)
    assert draw_classes(2, 5, 5, torch.Generator()).tolist() == [[0, 1, 2, 3, 4]] * 2
