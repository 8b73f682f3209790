"""Gaussian diffusion against the golden numbers, and by the laws of Gaussians, for which every score has a closed form."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pag.errors import InputError
from pag.improved_diffusion.gaussian_diffusion import GaussianDiffusion
from pag.improved_diffusion.schedules import betas, space_timesteps

GOLDEN = json.loads(Path("tests/golden/gaussian_diffusion.json").read_text(encoding="utf-8"))
CASES = [(schedule, timesteps) for schedule in ("linear", "cosine") for timesteps in (1000, 4000)]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    schedule, timesteps = request.param
    process = GaussianDiffusion.create(schedule, timesteps, learned_variance=True, rescale_timesteps=True)
    return process, GOLDEN[f"{schedule}.{timesteps}"]


def _batch(timesteps):
    shape = (2, 3, 8, 8)
    x0 = torch.from_numpy(np.sin(0.37 * np.arange(np.prod(shape)))).reshape(shape).float()
    noise = torch.from_numpy(np.cos(0.11 * np.arange(np.prod(shape)))).reshape(shape).float()
    return x0, noise, torch.tensor([0, timesteps // 2])


def _network(x, timesteps, labels):
    return torch.cat([0.5 * x, 0.1 * x], dim=1)


@pytest.mark.parametrize(
    "name",
    ["alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"],
)
def test_coefficients(case, name):
    process, golden = case
    expected = torch.tensor(golden[name], dtype=torch.float64)
    torch.testing.assert_close(getattr(process, name)[golden["t"]], expected, rtol=1e-9, atol=1e-12)


def test_losses_and_reverse_step(case):
    process, golden = case
    x0, noise, t = _batch(process.timesteps)
    x_t = process.q_sample(x0, t, noise)
    head = len(golden["q_sample_head"])
    torch.testing.assert_close(x_t.flatten()[:head], torch.tensor(golden["q_sample_head"]), rtol=1e-5, atol=1e-6)
    assert process.model_timesteps(t).tolist() == pytest.approx(golden["model_timesteps"])
    losses = process.training_losses(_network, x0, t, noise)
    for name, expected in golden["training_losses"].items():
        assert losses[name].tolist() == pytest.approx(expected, rel=1e-4), name
    reverse = process.p_mean_variance(_network, x0, t)
    actual = {"mean": reverse.mean, "log_variance": reverse.log_variance, "pred_xstart": reverse.pred_x0}
    actual["variance"] = reverse.log_variance.exp()
    for name, expected in golden["p_mean_variance"].items():
        head = actual[name].flatten()[: len(expected)]
        torch.testing.assert_close(head, torch.tensor(expected), rtol=1e-4, atol=2e-6)


def test_spaced_timesteps():
    for name, expected in GOLDEN["space_timesteps"].items():
        timesteps, *sections = name.split(",")
        counts = sections[0] if sections[0].startswith("ddim") else [int(count) for count in sections]
        assert space_timesteps(int(timesteps), counts)[: len(expected)] == expected
    with pytest.raises(InputError, match="Cannot take 11 of 10"):
        space_timesteps(10, [11])
    with pytest.raises(InputError, match="Unknown noise schedule 'quadratic'"):
        betas("quadratic", 10)


# Data N(MU, SIGMA²): x_t is N(√ᾱ MU, ᾱ SIGMA² + 1 − ᾱ), so the best ε is √(1 − ᾱ) (x_t − √ᾱ MU) / (ᾱ SIGMA² + 1 − ᾱ).
MU, SIGMA = 0.3, 0.2


def _gaussian(timesteps):
    process = GaussianDiffusion.create("cosine", timesteps, learned_variance=False, rescale_timesteps=False)

    def network(x_t, t, labels):
        alpha_bar = process.alphas_cumprod[t.long()].reshape(-1, 1, 1, 1)
        return (1 - alpha_bar).sqrt() * (x_t - alpha_bar.sqrt() * MU) / (alpha_bar * SIGMA**2 + 1 - alpha_bar)

    return process, network


def test_score_of_a_gaussian_has_its_closed_form():
    process, network = _gaussian(100)
    x_t, t = torch.randn(5, 1, 2, 2, dtype=torch.float64), torch.tensor([0, 10, 50, 90, 99])
    alpha_bar = process.alphas_cumprod[t].reshape(-1, 1, 1, 1)
    exact = -(x_t - alpha_bar.sqrt() * MU) / (alpha_bar * SIGMA**2 + 1 - alpha_bar)
    torch.testing.assert_close(process.score(network, x_t, t), exact)


def test_posterior_is_bayes_rule():
    process, _ = _gaussian(50)
    x0, x_t, t = 0.4, -0.2, 20
    alpha_bar, before = process.alphas_cumprod[t], process.alphas_cumprod[t - 1]
    alpha = alpha_bar / before
    # q(x_{t−1} | x_0) q(x_t | x_{t−1}): product of two Gaussians in x_{t−1}.
    precision = 1 / (1 - before) + alpha / (1 - alpha)
    mean = (before.sqrt() * x0 / (1 - before) + alpha.sqrt() * x_t / (1 - alpha)) / precision
    full = torch.full((1, 1, 1, 1), 1.0, dtype=torch.float64)
    actual_mean, log_variance = process.posterior(x0 * full, x_t * full, torch.tensor([t]))
    assert float(actual_mean) == pytest.approx(float(mean))
    assert float(log_variance.exp()) == pytest.approx(float(1 / precision))


@pytest.mark.parametrize(("steps", "tolerance"), [(200, 0.01), (50, 0.03)])  # long steps understate the spread
def test_samples_of_the_best_network_have_the_datas_moments(steps, tolerance):
    process, network = _gaussian(200)
    shape, generator = (4000, 1, 1, 1), torch.Generator().manual_seed(0)
    samples = process.respaced(steps).sample(network, shape, None, generator, clip=False)
    assert float(samples.mean()) == pytest.approx(MU, abs=0.02)
    assert float(samples.std()) == pytest.approx(SIGMA, abs=tolerance)


def test_training_moves_the_variance_by_the_bound_alone():
    process = GaussianDiffusion.create("cosine", 100, learned_variance=True, rescale_timesteps=True)
    output = torch.zeros(2, 2, 4, 4, requires_grad=True)
    x0, noise = torch.rand(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    losses = process.training_losses(lambda x, t, labels: output, x0, torch.tensor([0, 50]), noise)
    (of_bound,) = torch.autograd.grad(losses["vb"].sum(), output, retain_graph=True)
    assert of_bound[:, 0].abs().sum() == 0
    assert of_bound[:, 1].abs().sum() > 0
