"""Laws of generated images: DDIM as a naive loop has it, guidance, and streams that know nothing of the batch."""

import math

import numpy as np
import pytest
import torch

from pag.base.randomness import numpy_stream
from pag.diffusion import model as model_module
from pag.diffusion.generation import generated_images
from pag.diffusion.model import DiffusionConfig
from pag.improved_diffusion.gaussian_diffusion import GaussianDiffusion

C, T, SHAPE = 3, 40, (1, 4, 4)
NETWORK = {
    "base_channels": 32, "channel_mult": (1,), "num_res_blocks": 1, "attention_downsamplings": (), "num_heads": 1,
    "dropout": 0.0, "scale_shift_norm": True,
}  # fmt: skip
OPTIONS = {"steps": 6, "eta": 0.0, "guidance": 0.0, "seed": 3}


def _model(learned_variance=False):
    torch.manual_seed(0)
    model = DiffusionConfig(SHAPE, C, NETWORK, "cosine", T, learned_variance).build()
    for parameter in model.network.parameters():
        if not parameter.any():  # a network before training gives all labels the same
            torch.nn.init.normal_(parameter, std=0.1)
    model.network.double().eval()
    return model


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    """Noise and networks in float64."""
    stream = numpy_stream

    class Exact:
        def __init__(self, *key):
            self.generator = stream(*key)

        def standard_normal(self, shape, dtype):
            return self.generator.standard_normal(shape, dtype=dtype).astype(np.float64)

    monkeypatch.setattr("pag.diffusion.generation.numpy_stream", Exact)


def _drawn(model, labels, numbers=None, **changes):
    numbers = torch.arange(len(labels)) if numbers is None else numbers
    return generated_images(model, labels, numbers, **{**OPTIONS, **changes})


def _naive(model, label, number, steps, eta, guidance, seed):
    """One image by the formulas of DDIM, scalar by scalar of the schedule, from ᾱ alone."""
    alpha_bar = [float(a) for a in model.process.alphas_cumprod]
    times = [round(i * (T - 1) / (steps - 1)) for i in range(steps)]
    stream = numpy_stream(seed, "generated", number)
    x = torch.from_numpy(stream.standard_normal(SHAPE, dtype=np.float32)).double()[None]
    for i in reversed(range(steps)):
        now, before = alpha_bar[times[i]], alpha_bar[times[i - 1]] if i else 1.0
        seen = torch.tensor([times[i] * 1000 / T])
        eps, null = (model.network(x, seen, torch.tensor([y]))[:, :1] for y in (label, C))
        eps = eps + guidance * (eps - null)
        x0 = ((x - math.sqrt(1 - now) * eps) / math.sqrt(now)).clamp(-1, 1)
        eps = (x - math.sqrt(now) * x0) / math.sqrt(1 - now)
        sigma = eta * math.sqrt((1 - before) / (1 - now) * (1 - now / before))
        x = math.sqrt(before) * x0 + math.sqrt(1 - before - sigma**2) * eps
        if sigma:
            x = x + sigma * torch.from_numpy(stream.standard_normal(SHAPE, dtype=np.float32)).double()
    return (x[0] + 1) / 2


@pytest.mark.parametrize("learned_variance", [False, True])
@pytest.mark.parametrize(("eta", "guidance"), [(0.0, 0.0), (0.7, 0.0), (0.0, 1.5), (1.0, 0.4)])
@torch.no_grad()
def test_images_are_those_of_a_naive_loop(learned_variance, eta, guidance):
    model, labels, numbers = _model(learned_variance), torch.tensor([2, 0]), torch.tensor([5, 11])
    drawn = _drawn(model, labels, numbers, eta=eta, guidance=guidance)
    for x, label, number in zip(drawn, labels, numbers, strict=True):
        expected = _naive(model, int(label), int(number), OPTIONS["steps"], eta, guidance, OPTIONS["seed"])
        torch.testing.assert_close(x, expected, rtol=0, atol=1e-6)  # times that networks see are float32


@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_an_image_is_the_same_in_any_company(guidance, monkeypatch):
    model, labels = _model(), torch.arange(9) % C
    together = _drawn(model, labels, eta=0.5, guidance=guidance)
    some = torch.tensor([7, 2])
    torch.testing.assert_close(_drawn(model, labels[some], some, eta=0.5, guidance=guidance), together[some])
    monkeypatch.setitem(model_module.PIXELS_PER_FORWARD, "cpu", 4 * 16)
    torch.testing.assert_close(_drawn(model, labels, eta=0.5, guidance=guidance), together)


def test_images_are_in_range_and_differ_by_number_label_and_seed():
    model, label = _model(), torch.tensor([1])
    first = _drawn(model, label, torch.tensor([4]))
    assert 0 <= float(first.min()) < float(first.max()) <= 1
    others = [
        _drawn(model, label, torch.tensor([5])),
        _drawn(model, torch.tensor([2]), torch.tensor([4])),
        _drawn(model, label, torch.tensor([4]), seed=4),
        _drawn(model, label, torch.tensor([4]), guidance=1.0),
        _drawn(model, label, torch.tensor([4]), eta=1.0),
    ]
    assert not any(torch.allclose(first, other, atol=1e-3) for other in others)


def test_ddim_through_the_best_network_samples_the_data():
    """For data N(μ, σ²) the best ε is known, and the flow of η = 0 maps N(0, 1) onto the data in closed form."""
    mu, sigma = 0.2, 0.3
    process = GaussianDiffusion.create("cosine", 1000, learned_variance=False)

    def best(x_t, times, labels):
        alpha_bar = process.alphas_cumprod[(times[0] * len(process.betas) / 1000).round().long()]
        return (1 - alpha_bar).sqrt() * (x_t - alpha_bar.sqrt() * mu) / (alpha_bar * sigma**2 + 1 - alpha_bar)

    x_T = torch.linspace(-2, 2, 9, dtype=torch.float64).reshape(-1, 1, 1, 1)
    drawn = process.ddim_sample(best, x_T, None, noise=lambda: pytest.fail("η = 0 needs no noise"))
    torch.testing.assert_close(drawn, mu + sigma * x_T, rtol=0, atol=5e-3)
