"""Laws of the threat models: projection, random starts, steepest steps."""

import math

import pytest
import torch

from pag.attacks.threats import NORMS, Threat
from pag.base.errors import InputError
from pag.base.randomness import torch_stream

SHAPES = [(7, 2), (7, 3, 4, 4), (7, 1)]
pytestmark = pytest.mark.parametrize("norm", list(NORMS))


def draw(shape, index=0, scale=3.0):
    return scale * torch.randn(shape, generator=torch_stream(0, "test", index), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_projection_ends_in_the_ball_and_is_idempotent(norm, shape):
    threat, delta = Threat(norm, 0.7), draw(shape)
    projected = threat.project(delta)
    assert (threat.size(projected) <= 0.7 * (1 + 1e-12)).all()
    torch.testing.assert_close(threat.project(projected), projected, rtol=1e-12, atol=0)


def test_projection_keeps_what_is_inside(norm):
    delta = draw((5, 3, 2), scale=0.01)
    assert torch.equal(Threat(norm, 1.0).project(delta), delta)
    assert torch.equal(Threat(norm, 1.0).project(torch.zeros(5, 3)), torch.zeros(5, 3))


def test_projection_is_the_nearest_point(norm):
    threat, delta = Threat(norm, 0.7), draw((1, 6))
    distance = (threat.project(delta) - delta).norm()
    others = threat.random_start(delta.expand(2000, -1), torch_stream(0, "others"))
    assert ((others - delta).norm(dim=1) >= distance).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_random_start_is_inside(norm, shape):
    threat, x = Threat(norm, 0.7), torch.zeros(1000, *shape[1:], dtype=torch.float64)
    start = threat.random_start(x, torch_stream(0, "start"))
    assert start.shape == x.shape
    assert start.dtype == x.dtype
    assert (threat.size(start) <= 0.7 * (1 + 1e-12)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_dual_size_is_what_the_steepest_step_gains_and_no_step_gains_more(norm, shape):
    threat, gradient = Threat(norm, 0.7), draw(shape)
    sizes = threat.dual_size(gradient)
    torch.testing.assert_close((gradient * threat.steepest(gradient)).flatten(1).sum(1), sizes)
    others = threat.random_start(torch.zeros(500, *shape[1:], dtype=torch.float64), torch_stream(0, "others")) / 0.7
    assert (others.flatten(1) @ gradient.flatten(1).T <= sizes * (1 + 1e-12)).all()


def test_dual_size_of_zero_has_a_finite_derivative(norm):
    gradient = torch.zeros(2, 3, requires_grad=True)
    size = Threat(norm, 1.0).dual_size(gradient)
    assert (size <= 1e-12).all()
    assert torch.autograd.grad(size.sum(), gradient)[0].isfinite().all()


def test_emphasised_targets_keep_their_signs_and_in_linf_the_large_entries(norm):
    g = torch.tensor([[3.0, -1.0, 0.5]])
    expected = {"l2": g, "linf": torch.tensor([[9.0, -1.0, 0.25]])}[norm]
    assert torch.equal(Threat(norm, 1.0).emphasised(g), expected)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_random_start_is_uniform(norm, dimensions):
    # The size of a uniform point of a ball in d dimensions is distributed as U^(1/d), so size^d is uniform in [0, 1].
    x = torch.zeros(20_000, dimensions, dtype=torch.float64)
    start = Threat(norm, 2.0).random_start(x, torch_stream(0, "uniform"))
    level = (Threat(norm, 2.0).size(start) / 2) ** dimensions
    expected = (torch.arange(len(level)) + 0.5) / len(level)
    assert (level.sort().values - expected).abs().max() < 1.95 / math.sqrt(len(level))  # Kolmogorov-Smirnov, 0.1 %
    assert start.mean(dim=0).abs().max() < 0.05


def test_random_start_follows_the_generator(norm):
    threat, x = Threat(norm, 1.0), torch.zeros(4, 3)
    first, again, other = (threat.random_start(x, torch_stream(0, "start", i)) for i in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_steepest_step_has_the_largest_inner_product_in_the_unit_ball(norm, shape):
    threat, gradient = Threat(norm, 1.0), draw((1, *shape[1:]))
    steepest = threat.steepest(gradient)
    torch.testing.assert_close(threat.size(steepest), torch.ones(1, dtype=torch.float64))
    others = threat.random_start(gradient.expand(2000, *shape[1:]), torch_stream(0, "others"))
    assert ((others * gradient).flatten(1).sum(1) <= (steepest * gradient).sum() + 1e-12).all()


def test_zero_gradient_gives_a_zero_step(norm):
    gradient = torch.stack([torch.zeros(3, 2), torch.ones(3, 2)])
    steepest = Threat(norm, 1.0).steepest(gradient)
    assert torch.equal(steepest[0], torch.zeros(3, 2))
    assert (steepest[1] > 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_steepest_step_does_not_see_the_gradients_scale_in_float32(norm, scale):
    gradient = draw((5, 8)).float()
    threat = Threat(norm, 1.0)
    torch.testing.assert_close(threat.steepest(gradient * scale), threat.steepest(gradient), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("eps", [0.0, -1.0, math.nan, math.inf])
def test_impossible_radius_is_refused(norm, eps):
    with pytest.raises(InputError, match="eps"):
        Threat(norm, eps)


def test_unknown_norm_is_refused(norm):
    with pytest.raises(InputError, match=f"known are.*{norm}"):
        Threat(norm.upper(), 1.0)
