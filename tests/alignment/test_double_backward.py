"""Laws of layers that are cheap to differentiate twice: they are torch's own, in values and in all derivatives."""

import pytest
import torch
from derivatives import draw, loss_of_input_gradients
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from pag.alignment.double_backward import CheapDoubleBackward
from pag.base.randomness import torch_stream


def leaf(*shape, index=0):
    return draw(*shape, index=index).requires_grad_()


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
    arguments = [leaf(2, 2, 5, 6), leaf(4, 2 // groups, 3, 3, index=1), *([leaf(4, index=2)] if biased else [])]

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

    arguments = [leaf(3, 2, 2, 2), leaf(2, index=1), leaf(2, index=2)]
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
