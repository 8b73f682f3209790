"""Gaussian diffusion against the golden numbers, and by the laws of normal distributions, for which all is in closed form."""

import json
import math
from pathlib import Path

import pytest
import torch

from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.improved_diffusion.gaussian_diffusion import (
    Gaussian,
    GaussianDiffusion,
    discretized_log_likelihood,
    kl_divergence,
)
from pag.improved_diffusion.schedules import beta_schedule, space_timesteps

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gaussian_diffusion.json").read_text(encoding="utf-8"))
PROCESSES = ["linear.1000", "linear.4000", "cosine.1000", "cosine.4000"]
MU, SIGMA = 0.3, 0.6  # of the data in the closed forms


def process(name, learned_variance=True):
    schedule, timesteps = name.split(".")
    return GaussianDiffusion.create(schedule, int(timesteps), learned_variance=learned_variance)


def golden_batch(timesteps):
    j = torch.arange(2 * 3 * 8 * 8, dtype=torch.float64)
    x0, noise = (values.reshape(2, 3, 8, 8).float() for values in (torch.sin(0.37 * j), torch.cos(0.11 * j)))
    return x0, torch.tensor([0, timesteps // 2]), noise


def golden_model(x, times, labels):
    return torch.cat([0.5 * x, 0.1 * x], dim=1)


def optimal(diffusion):
    """The best ε (and, where asked for, v) for data N(MU, SIGMA²), looked up by the time that the network sees."""

    def model(x_t, times, labels):
        index = torch.searchsorted(diffusion.model_times.float(), times)
        alpha_bar, beta, c1, low = (
            table[index].reshape(-1, 1, 1, 1)
            for table in (diffusion.alphas_cumprod, diffusion.betas, diffusion.posterior_mean_coef1,
                          diffusion.posterior_log_variance_clipped.exp())
        )  # fmt: skip
        marginal = alpha_bar * SIGMA**2 + 1 - alpha_bar
        eps = (1 - alpha_bar).sqrt() * (x_t - alpha_bar.sqrt() * MU) / marginal
        if not diffusion.learned_variance:
            return eps
        variance = low + c1**2 * SIGMA**2 * (1 - alpha_bar) / marginal  # of x_{t−1} given x_t
        v = 2 * (variance / low).log() / (beta / low).log() - 1
        return torch.cat([eps, v.expand_as(eps)], dim=1)

    return model


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize(
    "table",
    [
        "alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
    ],
)
def test_golden_tables(name, table):
    expected = torch.tensor(GOLDEN[name][table], dtype=torch.float64)
    torch.testing.assert_close(getattr(process(name), table)[GOLDEN[name]["t"]], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", PROCESSES)
def test_golden_steps(name):
    diffusion, golden = process(name), GOLDEN[name]
    x0, t, noise = golden_batch(diffusion.timesteps)
    assert diffusion.model_timesteps(t).tolist() == golden["model_timesteps"]
    head = diffusion.q_sample(x0, t, noise).flatten()[: len(golden["q_sample_head"])]
    torch.testing.assert_close(head, torch.tensor(golden["q_sample_head"]), rtol=1e-6, atol=1e-7)
    for clip in (False, True):  # none of these values is beyond 1
        reverse, pred_x0 = diffusion.p_mean_variance(golden_model, x0, t, clip=clip)
        actual = {"mean": reverse.mean, "variance": reverse.variance, "log_variance": reverse.log_variance}
        for key, values in (actual | {"pred_xstart": pred_x0}).items():
            expected = torch.tensor(golden["p_mean_variance"][key])
            torch.testing.assert_close(values.flatten()[: len(expected)], expected, rtol=0, atol=1.5e-6)


@pytest.mark.parametrize("name", PROCESSES)
def test_golden_losses(name):
    diffusion, golden = process(name), GOLDEN[name]["training_losses"]
    x0, t, noise = golden_batch(diffusion.timesteps)
    losses = diffusion.training_losses(golden_model, x0, t, noise)
    assert losses.keys() == golden.keys()
    for key, expected in golden.items():
        torch.testing.assert_close(losses[key], torch.tensor(expected), rtol=2e-5 if key != "mse" else 1e-6, atol=0)


def test_golden_spaced_timesteps():
    for key, expected in GOLDEN["space_timesteps"].items():
        timesteps, count = map(int, key.split(","))
        assert list(space_timesteps(timesteps, count)[: len(expected)]) == expected


def test_spaced_timesteps():
    assert space_timesteps(10, 10) == tuple(range(10))
    assert space_timesteps(10, 2) == (0, 9)
    assert space_timesteps(10, 1) == (0,)
    for count in (0, 11):
        with pytest.raises(InputError, match=r"^steps"):
            space_timesteps(10, count)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("timesteps", [21, 100, 4000])
def test_schedules_are_probabilities_of_noise(schedule, timesteps):
    betas = beta_schedule(schedule, timesteps)
    assert betas.shape == (timesteps,)
    assert betas.dtype == torch.float64
    assert betas.min() > 0
    assert betas.max() < 1
    assert (betas.diff() >= 0).all()
    assert (1 - betas).prod() < 1e-4


def test_impossible_schedules_are_named():
    for schedule, timesteps, message in [
        ("sine", 9, "^schedule"),
        ("linear", 20, "^timesteps"),
        ("cosine", 1, "^timesteps"),
    ]:
        with pytest.raises(InputError, match=message):
            beta_schedule(schedule, timesteps)
    with pytest.raises(InputError, match=r"^timesteps"):
        process("cosine.100").respaced(1)


@pytest.mark.parametrize("learned_variance", [True, False])
def test_output_channels_must_fit_the_variance(learned_variance):
    x, t = torch.zeros(1, 2, 2, 2), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(InputError, match="learned_variance"):
        process("cosine.100", learned_variance).predict_noise(lambda x, times, labels: torch.zeros(1, 3, 2, 2), x, t)


@pytest.mark.parametrize("name", ["linear.1000", "cosine.100"])
def test_noised_data_has_the_mean_and_variance_of_the_definition(name):
    diffusion = process(name)
    # By the Markov chain x_t = √(1 − β_t) x_{t−1} + √β_t ε, step by step.
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(diffusion.betas.tolist()):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        times, one, zero = (
            torch.tensor([t]),
            torch.ones(1, 1, dtype=torch.float64),
            torch.zeros(1, 1, dtype=torch.float64),
        )
        assert diffusion.q_sample(one, times, zero).item() == pytest.approx(mean, rel=1e-9)
        assert diffusion.q_sample(zero, times, one).item() ** 2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("name", ["linear.1000", "cosine.100"])
def test_posterior_is_bayes_rule(name):
    diffusion, x0, x_t = process(name), 0.7, -0.4
    t = torch.arange(1, diffusion.timesteps)
    alpha_bar, beta = diffusion.alphas_cumprod, diffusion.betas
    # Precisions add: the prior q(x_{t−1} | x_0) and the likelihood q(x_t | x_{t−1}), a normal in x_{t−1}.
    prior, likelihood = 1 / (1 - alpha_bar[t - 1]), (1 - beta[t]) / beta[t]
    variance = 1 / (prior + likelihood)
    mean = variance * (prior * alpha_bar[t - 1].sqrt() * x0 + likelihood * x_t / (1 - beta[t]).sqrt())
    ones = torch.ones(len(t), 1, dtype=torch.float64)
    posterior = diffusion.posterior(x0 * ones, x_t * ones, t)
    torch.testing.assert_close(posterior.mean[:, 0], mean, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(posterior.variance[:, 0], variance, rtol=1e-9, atol=0)


def test_optimal_noise_gives_the_score():
    diffusion = process("cosine.1000")
    t = torch.arange(diffusion.timesteps)
    x_t = torch.randn(len(t), 1, 2, 2, dtype=torch.float64, generator=torch_stream(0, "test")).requires_grad_()
    alpha_bar = diffusion.alphas_cumprod[t].reshape(-1, 1, 1, 1)
    variance = alpha_bar * SIGMA**2 + 1 - alpha_bar
    log_density = -((x_t - alpha_bar.sqrt() * MU) ** 2) / (2 * variance)
    (score,) = torch.autograd.grad(log_density.sum(), x_t)
    eps = diffusion.predict_noise(optimal(diffusion), x_t.detach(), t)
    actual = -eps / (1 - alpha_bar).sqrt()
    torch.testing.assert_close(actual, score, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("steps", [1000, 50, 5])
def test_ancestral_sampling_with_the_optimal_model_gives_the_data(steps):
    full = process("cosine.1000")
    diffusion = full.respaced(steps)
    x_T = torch.randn(5_000, 1, 1, 1, dtype=torch.float64, generator=torch_stream(0, "start"))
    samples = diffusion.sample(optimal(diffusion), x_T, None, torch_stream(0, "steps"), clip=False)
    assert samples.mean().item() == pytest.approx(MU, abs=4 * SIGMA / math.sqrt(5_000))
    assert samples.std().item() == pytest.approx(SIGMA, abs=4 * SIGMA / math.sqrt(10_000))
    again = diffusion.sample(optimal(diffusion), x_T, None, torch_stream(0, "steps"), clip=False)
    assert torch.equal(samples, again)


def test_fixed_variance_sampling_gives_the_data_in_many_steps_and_clipping_holds():
    diffusion = process("cosine.1000", learned_variance=False)
    x_T = torch.randn(5_000, 1, 1, 1, dtype=torch.float64, generator=torch_stream(0, "start"))
    samples = diffusion.sample(optimal(diffusion), x_T, None, torch_stream(0, "steps"), clip=False)
    assert samples.std().item() == pytest.approx(SIGMA, rel=0.03)
    few = diffusion.respaced(5)
    assert few.sample(optimal(few), 9 * x_T, None, torch_stream(0, "steps")).abs().max() <= 1


def test_respaced_keeps_noise_levels_and_original_times():
    full = process("linear.4000")
    few = full.respaced(50)
    kept = torch.tensor(space_timesteps(4000, 50))
    torch.testing.assert_close(few.alphas_cumprod, full.alphas_cumprod[kept], rtol=1e-12, atol=0)
    assert torch.equal(few.model_timesteps(torch.arange(50)), full.model_timesteps(kept))
    torch.testing.assert_close(full.respaced(4000).betas, full.betas, rtol=1e-9, atol=1e-15)


def test_predicted_x0_undoes_the_noise():
    diffusion = process("cosine.1000", learned_variance=False)
    x0, t, noise = golden_batch(1000)
    x_t = diffusion.q_sample(x0.double(), t, noise.double())
    torch.testing.assert_close(diffusion.predict_x0(x_t, t, noise.double()), x0.double())
    losses = diffusion.training_losses(lambda x, times, labels: noise.double(), x0.double(), t, noise.double())
    assert losses.keys() == {"mse", "loss"}
    assert torch.equal(losses["loss"], torch.zeros(2, dtype=torch.float64))


def test_the_bound_teaches_the_variance_alone():
    diffusion = process("cosine.1000")
    x0, t, noise = golden_batch(1000)
    output = golden_model(x0, None, None).requires_grad_()
    losses = diffusion.training_losses(lambda x, times, labels: output, x0, t, noise)
    (gradient,) = torch.autograd.grad(losses["vb"].sum(), output, retain_graph=True)
    assert gradient[:, :3].abs().max() == 0
    assert (gradient[:, 3:].flatten(1).abs().sum(dim=1) > 0).all()
    (gradient,) = torch.autograd.grad(losses["mse"].sum(), output)
    assert gradient[:, 3:].abs().max() == 0


def test_divergence_is_that_of_torch():
    draw = torch.randn(4, 7, dtype=torch.float64, generator=torch_stream(0, "test"))
    p, q = Gaussian(draw[0], draw[1]), Gaussian(draw[2], draw[3])
    normals = [torch.distributions.Normal(g.mean, g.variance.sqrt()) for g in (p, q)]
    torch.testing.assert_close(kl_divergence(p, q), torch.distributions.kl_divergence(*normals))
    assert kl_divergence(p, p).abs().max() == 0


def test_distribution_function_is_the_public_codes_approximation():
    """Of the outermost grey levels the mass is the distribution function itself."""
    z = torch.linspace(-4, 4, 81, dtype=torch.float64)
    black, white = torch.full_like(z, -1), torch.full_like(z, 1)
    unit = torch.zeros_like(z)  # log of a variance of 1
    left = discretized_log_likelihood(black, Gaussian(black + 1 / 255 - z, unit)).exp()
    right = discretized_log_likelihood(white, Gaussian(white - 1 / 255 - z, unit)).exp()
    expected = (1 + (math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)).tanh()) / 2
    torch.testing.assert_close(left, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(right, 1 - expected, rtol=1e-9, atol=1e-12)
    error = (left - torch.special.ndtr(z)).abs().max()
    assert 1e-4 < error < 2e-4


@pytest.mark.parametrize(("mean", "sigma"), [(0.1, 0.3), (-0.99, 0.02), (1.5, 1.0)])
def test_grey_levels_share_the_whole_mass(mean, sigma):
    levels = 2 * torch.arange(256, dtype=torch.float64) / 255 - 1
    gaussian = Gaussian(torch.full_like(levels, mean), torch.full_like(levels, 2 * math.log(sigma)))
    mass = discretized_log_likelihood(levels, gaussian).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-9)
    inner = torch.distributions.Normal(mean, sigma).log_prob(levels[1:-1]).exp() * 2 / 255
    torch.testing.assert_close(mass[1:-1], inner, rtol=0.1, atol=2e-5)
