"""Laws of layers that are cheap to differentiate twice: they are torch's own, in values and in all derivatives."""

import copy

import pytest
import torch
from derivatives import draw, loss_of_input_gradients
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.checkpoint import checkpoint

from pag.alignment.double_backward import CheapDoubleBackward
from pag.base.randomness import torch_stream


def leaf(*shape, index=0):
    return draw(*shape, index=index).requires_grad_()


def parameter(*shape, index=0):
    return nn.Parameter(draw(*shape, index=index))


def network(norm):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(2, 4, 3, stride=2, padding=1), norm, nn.SiLU(), nn.Conv2d(4, 6, 3, groups=2)]
        return nn.Sequential(*layers, nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(24, 5)).double()


def differentiated_twice(model, x, cheap, k=2):
    """Gradients of a loss of the first k outputs' input-gradients and of the outputs; then the model's buffers."""
    x = x.clone().requires_grad_()
    loss = loss_of_input_gradients(model, x, cheap, k)
    return [*torch.autograd.grad(loss, [x, *model.parameters()]), *model.buffers()]


NORMS = {
    "batch": lambda: nn.BatchNorm2d(4),
    "batch, not affine": lambda: nn.BatchNorm2d(4, affine=False),
    "group": lambda: nn.GroupNorm(2, 4),
    "none": nn.Identity,
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("training", [True, False])
def test_a_loss_of_input_gradients_has_the_derivatives_that_torch_finds(norm, training):
    x = draw(5, 2, 7, 7)
    cheap, own = (differentiated_twice(network(NORMS[norm]()).train(training), x, cheap) for cheap in (True, False))
    for a, b in zip(cheap, own, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 2, 5)])
def test_batch_norm_of_any_shape_has_the_derivatives_that_torch_finds(shape):
    layer = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](3).double()
    nn.init.normal_(layer.weight, generator=torch_stream(0, "weight"))
    model = nn.Sequential(layer, nn.SiLU(), nn.Flatten())
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    cheap = differentiated_twice(model, draw(*shape), cheap=True)
    cheap = [value.clone() for value in cheap]  # the running statistics among them
    layer.load_state_dict(before)
    for a, b in zip(cheap, differentiated_twice(model, draw(*shape), cheap=False), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2, "padding": 1}, {"stride": (1, 2), "padding": (2, 0)}, {"dilation": 2}, {"groups": 2}, {"padding": "same"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("biased", [True, False])
def test_convolutions_are_torchs_with_exact_derivatives_of_all_arguments(options, biased):
    groups = options.get("groups", 1)
    arguments = [
        leaf(2, 2, 5, 6),
        parameter(4, 2 // groups, 3, 3, index=1),
        *([parameter(4, index=2)] if biased else []),
    ]

    def convolve(x, w, b=None):
        with CheapDoubleBackward():
            return functional.conv2d(x, weight=w, bias=b, **options)

    assert torch.equal(convolve(*arguments), functional.conv2d(*arguments, **options))
    gradcheck(convolve, arguments)
    gradgradcheck(convolve, arguments)


def test_batch_norm_has_exact_derivatives_of_all_arguments_where_not_only_inputs_are_differentiated():
    def normalize(x, gamma, beta):
        with CheapDoubleBackward():
            return functional.batch_norm(x, None, None, gamma, beta, training=True)

    arguments = [leaf(3, 2, 2, 2), parameter(2, index=1), parameter(2, index=2)]
    gradcheck(normalize, arguments)
    gradgradcheck(normalize, arguments)


def test_a_third_derivative_of_batch_norm_is_refused_rather_than_wrong():
    model, x = nn.Sequential(nn.BatchNorm1d(3), nn.SiLU()).double(), leaf(6, 3)
    with CheapDoubleBackward() as mode:
        y = model(x)
    with mode.differentiating_inputs():
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        h.sum().backward()


def third_derivatives(model, x, cheap):
    """Gradients of a loss of the derivative of a loss of input-gradients."""
    x = x.clone().requires_grad_()
    (h,) = torch.autograd.grad(loss_of_input_gradients(model, x, cheap), x, create_graph=True)
    return torch.autograd.grad((h * draw(*h.shape, index=3)).sum(), [x, *model.parameters()])


@pytest.mark.parametrize("norm", ["group", "none"])
def test_third_derivatives_through_convolutions_are_those_that_torch_finds(norm):
    x, model = draw(5, 2, 7, 7), network(NORMS[norm]()).eval()
    for a, b in zip(*(third_derivatives(model, x, cheap) for cheap in (True, False)), strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)


class KernelOfInput(nn.Module):
    """A convolution whose kernel and bias are made of the input."""

    def __init__(self):
        super().__init__()
        self.kernel, self.bias = nn.Linear(98, 4 * 2 * 9), nn.Linear(98, 4)

    def forward(self, x):
        summary = x.flatten(1).mean(0)
        return functional.conv2d(x, self.kernel(summary).reshape(4, 2, 3, 3), self.bias(summary))


class InputAsKernel(nn.Module):
    """Correlates a map of parameters with the input itself."""

    def __init__(self):
        super().__init__()
        self.map = nn.Parameter(draw(5, 2, 9, 9))

    def forward(self, x):
        return functional.conv2d(self.map, x)


class ScaleOfInput(nn.Module):
    """Batch norm whose scale and shift are made of the input."""

    def forward(self, x):
        scale, shift = x.mean((0, 2, 3)), x.square().mean((0, 2, 3))
        return functional.batch_norm(x, None, None, scale, shift, training=True)


class Checkpointed(nn.Sequential):
    """Layers whose activations are made again in the backward pass."""

    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False)


BEYOND = {
    "kernel of input": KernelOfInput,
    "input as kernel": InputAsKernel,
    "scale of input": lambda: nn.Sequential(nn.Conv2d(2, 2, 3), ScaleOfInput()),
    "weight norm": lambda: weight_norm(nn.Conv2d(2, 4, 3)),
    "checkpoint": lambda: Checkpointed(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.SiLU()),
}


@pytest.mark.parametrize("layer", BEYOND)
def test_where_the_short_way_does_not_hold_derivatives_are_torchs(layer):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = nn.Sequential(
            BEYOND[layer](), nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(3)
        ).double()
        body(draw(5, 2, 7, 7))
    x = draw(5, 2, 7, 7)
    cheap, own = (differentiated_twice(copy.deepcopy(body), x, cheap) for cheap in (True, False))
    for a, b in zip(cheap, own, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("cheap", [True, False])
def test_batch_norm_of_one_value_a_channel_is_refused_as_torch_refuses_it(cheap):
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()).double()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        differentiated_twice(model, draw(1, 3, 1, 1), cheap)
    assert model[0].running_var.isfinite().all()


def test_parameters_get_no_gradient_with_the_inputs():
    model, x = network(nn.BatchNorm2d(4)), leaf(5, 2, 7, 7)
    with CheapDoubleBackward() as mode:
        y = model(x)
    with mode.differentiating_inputs():
        asked = [x, model[0].weight, model[1].weight]
        gradients = torch.autograd.grad(y.sum(), asked, create_graph=True, allow_unused=True)
    assert [g is None for g in gradients] == [False, True, True]


def test_reduced_precision_is_where_torch_has_it():
    x = draw(5, 2, 7, 7, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        cheap, own = (differentiated_twice(network(nn.BatchNorm2d(4)).float(), x, cheap) for cheap in (True, False))
    exact = differentiated_twice(network(nn.BatchNorm2d(4)), x.double(), cheap=False)
    assert [a.dtype for a in cheap] == [b.dtype for b in own]
    similarity = [functional.cosine_similarity(flat(values), flat(exact), dim=0) for values in (cheap, own)]
    assert min(similarity) > 0.99
    assert not torch.allclose(flat(cheap), flat(exact), rtol=1e-4)  # it is reduced


def flat(values):
    return torch.cat([value.double().flatten() for value in values])
