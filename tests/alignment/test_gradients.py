"""Laws of input-gradients and of the cosine of eq. (5)."""

import ast
import inspect

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from pag.alignment import gradients as gradients_module
from pag.alignment.differentiable import differentiable_gradients
from pag.alignment.gradients import alignment, cosine, input_gradients
from pag.base.randomness import torch_stream

C = 4


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(2, 5, 3), nn.SiLU(), nn.Flatten(), nn.Linear(5 * 2 * 3, C)]
        return nn.Sequential(*layers).double().eval()


def draw(*shape, index=0):
    return torch.randn(shape, generator=torch_stream(0, "test", index), dtype=torch.float64)


def classes_of(batch, k):
    return torch.randint(C, (batch, k), generator=torch_stream(0, "classes"))


@pytest.mark.parametrize("of", ["log_softmax", "logit"])
@pytest.mark.parametrize("k", [1, 3])
def test_gradients_are_those_of_each_example_and_class_alone(of, k):
    model, x, classes = network(), draw(6, 2, 4, 5), classes_of(6, k)
    gradients, logits = input_gradients(model, x, classes, of)
    assert gradients.shape == (6, k, 2, 4, 5)
    torch.testing.assert_close(logits, model(x).detach())
    for i in range(6):
        for j in range(k):
            single = x[i : i + 1].clone().requires_grad_()
            output = model(single)
            output = output.log_softmax(1) if of == "log_softmax" else output
            (expected,) = torch.autograd.grad(output[0, classes[i, j]], single)
            torch.testing.assert_close(gradients[i, j], expected[0])


def test_log_softmax_gradients_weighted_by_probability_sum_to_zero():
    gradients, logits = input_gradients(network(), draw(6, 2, 4, 5), torch.arange(C).expand(6, C), "log_softmax")
    total = torch.einsum("bc,bc...->b...", logits.softmax(1), gradients)
    torch.testing.assert_close(total, torch.zeros_like(total), atol=1e-14, rtol=0)


def test_logit_gradients_of_a_linear_model_are_its_weights():
    model = nn.Linear(3, C).double()
    gradients, _ = input_gradients(model, draw(5, 3), torch.arange(C).expand(5, C), "logit")
    torch.testing.assert_close(gradients, model.weight.detach().expand(5, C, 3))


@pytest.mark.parametrize("of", ["log_softmax", "logit"])
def test_gradients_for_a_loss_are_the_same_with_a_graph_to_all_parameters(of):
    model, x, classes = network(), draw(6, 2, 4, 5), classes_of(6, 2)
    with torch.no_grad():
        measured = input_gradients(model, x, classes, of)
    assert not any(value.requires_grad for value in measured)
    gradients, logits = differentiable_gradients(model, x, classes, of)
    for value, expected in zip((gradients, logits), measured, strict=True):
        torch.testing.assert_close(value.detach(), expected)
    (gradients.square().sum() + logits.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("function", [input_gradients, differentiable_gradients])
def test_the_model_runs_once(function):
    model, calls = network(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    function(model, draw(6, 2, 4, 5), classes_of(6, 3), "logit")
    assert len(calls) == 1


def test_cosine_of_known_vectors():
    u = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]]])
    v = torch.tensor([[[[0.0, 2.0], [0.0, 0.0]], [[3.0, 0.0], [0.0, 0.0]]]])
    torch.testing.assert_close(cosine(u, v), torch.tensor([[0.0, 0.5]]))
    torch.testing.assert_close(cosine(u, -u), torch.tensor([[-1.0, -1.0]]))


def test_cosine_does_not_see_scale():
    u, v = draw(5, 3, 7), draw(5, 3, 7, index=1)
    torch.testing.assert_close(cosine(1e-4 * u, 1e6 * v), cosine(u, v))
    assert (cosine(u, v).abs() <= 1).all()
    torch.testing.assert_close(cosine(u, u), torch.ones(5, 3, dtype=torch.float64))


def test_cosine_is_twice_differentiable():
    u, v = draw(2, 2, 3).requires_grad_(), draw(2, 2, 3, index=1).requires_grad_()
    assert gradcheck(cosine, (u, v))
    assert gradgradcheck(cosine, (u, v))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("zero", ["first", "second", "both"])
def test_cosine_of_zero_vectors_has_finite_derivatives(dtype, zero):
    u = torch.zeros(1, 1, 3, dtype=dtype) if zero != "second" else torch.ones(1, 1, 3, dtype=dtype)
    v = torch.zeros(1, 1, 3, dtype=dtype) if zero != "first" else torch.ones(1, 1, 3, dtype=dtype)
    u, v = u.requires_grad_(), v.requires_grad_()
    value = cosine(u, v)
    assert value.item() == 0
    first = torch.autograd.grad(value.sum(), (u, v), create_graph=True)
    second = torch.autograd.grad(sum((g * g.detach().sign() + g).sum() for g in first), (u, v))
    assert all(g.isfinite().all() for g in (*first, *second))


def test_alignment_is_the_mean_over_the_given_classes():
    model, x, targets = network(), draw(7, 2, 4, 5), draw(7, C, 2, 4, 5, index=1)
    classes = torch.arange(C).expand(7, C)
    gradients, _ = input_gradients(model, x, classes, "log_softmax")
    torch.testing.assert_close(alignment(model, x, classes, targets, "log_softmax"), cosine(gradients, targets).mean(1))
    some = alignment(model, x, classes[:, 1:], targets[:, 1:], "log_softmax")
    torch.testing.assert_close(some, cosine(gradients, targets)[:, 1:].mean(1))
    own = alignment(model, x, classes, 3 * gradients, "log_softmax")
    torch.testing.assert_close(own, torch.ones(7, dtype=torch.float64))


def test_what_measures_imports_nothing_of_what_makes_training_fast():
    imports = [n for n in ast.walk(ast.parse(inspect.getsource(gradients_module))) if isinstance(n, ast.ImportFrom)]
    assert [n.module for n in imports if n.module.startswith("pag.")] == ["pag.base.vocabulary"]
