"""Score-based targets against the closed form: for Gaussian classes ∇ log p(y | x_t) is known exactly."""

from types import SimpleNamespace

import pytest
import torch

from pag.data.resizing import resize
from pag.diffusion.model import DiffusionConfig, DiffusionModel
from pag.improved_diffusion.gaussian_diffusion import GaussianDiffusion
from pag.targets.score_based import image_classes, image_noise, score_based_gradients

C, T, SIGMA = 3, 100, 0.5
SHAPE = (1, 2, 2)


class GaussianClasses(torch.nn.Module):
    """The best ε for data N(μ_y, σ² I) of class y, and for their equal mixture under label C."""

    def __init__(self, process):
        super().__init__()
        self.process = process
        self.mu = torch.nn.Parameter(torch.linspace(-0.8, 0.8, C)[:, None, None, None].expand(C, *SHAPE).clone())

    def log_density(self, x_t, t):
        """log p(x_t | y) of each class up to a constant, `(B, C)`."""
        alpha_bar = self.process.alphas_cumprod[t].float()
        variance = alpha_bar * SIGMA**2 + 1 - alpha_bar
        return -(x_t[:, None] - alpha_bar.sqrt() * self.mu).square().sum(dim=(2, 3, 4)) / (2 * variance)

    def forward(self, x_t, timesteps, labels):
        t = round(float(timesteps[0]) * T / 1000)
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            every = self.log_density(x, t)
            log_p = torch.cat([every, every.logsumexp(dim=1, keepdim=True)], dim=1).gather(1, labels[:, None])
            (score,) = torch.autograd.grad(log_p.sum(), x)
        return -score * (1 - self.process.alphas_cumprod[t]).sqrt().float()


@pytest.fixture
def model():
    process = GaussianDiffusion.create("cosine", T, learned_variance=False)
    return DiffusionModel(SimpleNamespace(image_shape=SHAPE, num_classes=C), GaussianClasses(process), process)


def _gradients(model, pixels, rows, **changes):
    return score_based_gradients(
        model, pixels, rows, **{"split": "train", "timestep": 40, "draws": 1, "seed": 3, **changes}
    )


def test_gradient_is_that_of_the_log_posterior(model):
    pixels, rows = torch.rand(4, *SHAPE), torch.tensor([5, 1, 9, 2])
    g = _gradients(model, pixels, rows)
    noise = torch.stack([image_noise(3, "train", int(row), 0, SHAPE) for row in rows])
    x_t = model.process.q_sample(2 * pixels - 1, torch.full((4,), 40), noise).requires_grad_()
    log_posterior = model.network.log_density(x_t, 40).log_softmax(dim=1)
    for c in range(C):
        (exact,) = torch.autograd.grad(log_posterior[:, c].sum(), x_t, retain_graph=True)
        torch.testing.assert_close(g[:, c], exact, rtol=1e-4, atol=1e-5)


def test_an_image_has_the_same_targets_in_any_company(model):
    pixels, rows = torch.rand(150, *SHAPE), torch.arange(150)
    together = _gradients(model, pixels, rows)
    some = torch.tensor([149, 3, 70])
    torch.testing.assert_close(_gradients(model, pixels[some], rows[some]), together[some], rtol=1e-4, atol=1e-6)


def test_gradients_towards_some_classes_are_columns_of_all(model):
    pixels, rows, classes = torch.rand(60, *SHAPE), torch.arange(60), torch.tensor([[0, 2], [2, 1]] * 30)
    some, every = _gradients(model, pixels, rows, classes=classes), _gradients(model, pixels, rows)
    torch.testing.assert_close(some, every[torch.arange(60)[:, None], classes], rtol=1e-4, atol=1e-6)


def test_classes_of_an_image_are_drawn_uniformly_by_its_row_alone():
    drawn = image_classes(3, "train", torch.arange(2000), 8, 3)
    assert (drawn.diff(dim=1) > 0).all()  # ascending, none twice
    torch.testing.assert_close(image_classes(3, "train", torch.tensor([7, 1999]), 8, 3), drawn[[7, 1999]])
    counts = drawn.flatten().bincount(minlength=8)  # 750 expected, with a standard deviation of 22
    assert (counts - 750).abs().max() < 5 * 22
    assert not torch.equal(image_classes(3, "test", torch.arange(2000), 8, 3), drawn)
    assert torch.equal(image_classes(3, "train", torch.arange(4), 8, 8), torch.arange(8).expand(4, -1))


def test_draws_average_and_splits_and_rows_have_noise_of_their_own(model):
    pixels, rows = torch.rand(2, *SHAPE), torch.tensor([0, 1])
    two = _gradients(model, pixels, rows, draws=2)
    first = _gradients(model, pixels, rows)
    assert not torch.allclose(two, first)
    noise = [image_noise(3, *key, SHAPE) for key in (("train", 0, 0), ("train", 0, 1), ("train", 1, 0), ("test", 0, 0))]
    assert len({tuple(n.flatten().tolist()) for n in noise}) == 4
    second = 2 * two - first
    x_t = model.process.q_sample(2 * pixels[:1] - 1, torch.tensor([40]), noise[1][None]).requires_grad_()
    (exact,) = torch.autograd.grad(model.network.log_density(x_t, 40).log_softmax(dim=1)[0, 0], x_t)
    torch.testing.assert_close(second[:1, 0], exact, rtol=1e-3, atol=1e-4)


def test_images_of_another_size_are_resized_for_the_model_and_gradients_back(model):
    pixels, rows = torch.rand(5, 1, 6, 4), torch.arange(5)
    g = _gradients(model, pixels, rows)
    assert g.shape == (5, C, 1, 6, 4)
    of_resized = _gradients(model, resize(pixels, 2, 2).clamp(0, 1), rows)
    torch.testing.assert_close(g, resize(of_resized, 6, 4), rtol=1e-5, atol=1e-6)


def test_a_compiled_network_gives_the_same_targets():
    """Compiled without the generation of code, which needs a compiler and its time."""
    options = {
        "base_channels": 32, "channel_mult": [1], "num_res_blocks": 1, "attention_downsamplings": [1], "num_heads": 4,
        "dropout": 0.0, "scale_shift_norm": True,
    }  # fmt: skip
    torch.manual_seed(0)
    model = DiffusionConfig((1, 8, 8), C, options, "cosine", T, False).build()
    for parameter in model.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    model.network.eval()
    pixels, rows = torch.rand(3, 1, 8, 8), torch.arange(3)
    plain = _gradients(model, pixels, rows)
    model.network.compile(dynamic=False, backend="eager")
    similarity = torch.nn.functional.cosine_similarity(
        _gradients(model, pixels, rows).flatten(2), plain.flatten(2), dim=2
    )
    assert float(similarity.min()) > 1 - 1e-6
