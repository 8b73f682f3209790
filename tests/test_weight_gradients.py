"""Laws of collected weight gradients: they are torch's own, whichever gradients are asked for, and as often as they are."""

import pytest
import torch
from derivatives import draw, loss_of_input_gradients
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from pag.double_backward import CheapDoubleBackward
from pag.weight_gradients import AT_ONCE, Terms

WIDE = 3  # the layer of `network` whose weights are large beside its feature maps


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wide = nn.Conv2d(32, 40, (3, 2), stride=(2, 1), padding=(1, 1), dilation=(1, 2))
        first = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        head = nn.Sequential(nn.SiLU(), nn.Flatten(), nn.Linear(80, 20))
        return nn.Sequential(first, nn.SiLU(), nn.Identity(), wide, *head).double()


@pytest.fixture
def products(monkeypatch):
    """How many terms each product that was taken had."""
    taken, product = [], Terms._product

    def counted(self, gy, x):
        taken.append(len(x))
        return product(self, gy, x)

    monkeypatch.setattr(Terms, "_product", counted)
    return taken


def batch(size=1):
    return draw(size, 3, 4, 4).requires_grad_()


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("k", [0, 1, 3, AT_ONCE - 1, AT_ONCE, AT_ONCE + 2])
def test_one_product_gives_the_derivatives_that_torch_finds(products, k):
    model, x = network(), batch()
    wanted = [x, *model.parameters()]
    cheap = torch.autograd.grad(loss_of_input_gradients(model, x, True, k), wanted)
    terms = k + 1
    assert products == ([terms] if terms <= AT_ONCE else [AT_ONCE, terms - AT_ONCE])
    assert_same(cheap, torch.autograd.grad(loss_of_input_gradients(model, x, False, k), wanted))


def test_large_feature_maps_are_left_to_torch(products):
    model, x = network(), batch(16)
    wanted = [x, *model.parameters()]
    assert_same(*(torch.autograd.grad(loss_of_input_gradients(model, x, cheap), wanted) for cheap in (True, False)))
    assert products == []


def test_a_pass_for_other_gradients_leaves_nothing_behind(products):
    model, x = network(), batch()
    head, every = model[-1].weight, list(model.parameters())
    loss = loss_of_input_gradients(model, x, True)
    expected = loss_of_input_gradients(model, x, False)
    partial = torch.autograd.grad(loss, head, retain_graph=True)
    assert products == []
    assert_same(partial, torch.autograd.grad(expected, head, retain_graph=True))
    for _ in range(2):
        assert_same(
            torch.autograd.grad(loss, every, retain_graph=True),
            torch.autograd.grad(expected, every, retain_graph=True),
        )
    assert products == [3, 3]


def test_gradients_add_up_over_steps_as_torchs_do():
    models = [network(), network()]
    for cheap, model in zip((True, False), models, strict=True):
        for _ in range(2):
            loss_of_input_gradients(model, batch(), cheap).backward()
    assert_same(*([p.grad for p in model.parameters()] for model in models))


def test_a_frozen_layer_gets_none():
    model = network()
    model[WIDE].weight.requires_grad_(False)
    loss_of_input_gradients(model, batch(), True).backward()
    assert model[WIDE].weight.grad is None
    assert model[0].weight.grad is not None


def test_gradients_that_are_differentiated_again_are_exact(products):
    x, w = draw(1, 8, 1, 1).requires_grad_(), draw(16, 8, 2, 2, index=1).requires_grad_()

    def convolve(x, w):
        with CheapDoubleBackward():
            return functional.conv2d(x, w, padding=1)

    gradcheck(convolve, (x, w))
    assert products
    gradgradcheck(convolve, (x, w))
