"""Gaussian diffusion with an ε-predicting network (Ho et al., 2020; Nichol and Dhariwal, 2021).

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I)            score:  ∇ log p(x_t) = −ε_θ(x_t, t) / √(1 − ᾱ_t)

Where the network has twice the image's channels, the second half v in [−1, 1] interpolates the reverse log-variance between
log β̃_t and log β_t, and training adds the variational bound to the error of ε (section 3 of the second paper).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pag.improved_diffusion.schedules import betas, space_timesteps

__all__ = ["GaussianDiffusion", "Network", "Reverse"]

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # (x_t, model timesteps, labels) → ε, or ε and v


@dataclass(frozen=True)
class Reverse:
    """p_θ(x_{t−1} | x_t), and the prediction of x_0 behind its mean; all of the image's shape."""

    mean: Tensor
    log_variance: Tensor
    pred_x0: Tensor


class GaussianDiffusion:
    """A diffusion process and the losses of the network that reverses it.

    Args:
        beta: `(T,)` float64.
        learned_variance: whether the network also gives v.
        model_timesteps: `(T,)`, what the network is told for each t.
        loss_scale: T/1000 of the original process, the weight of the variational term.
    """

    def __init__(self, beta: Tensor, learned_variance: bool, model_timesteps: Tensor, loss_scale: float) -> None:
        self.beta = beta
        self.learned_variance = learned_variance
        self.timesteps = len(beta)
        self._model_timesteps = model_timesteps
        self._loss_scale = loss_scale
        alpha = 1 - beta
        self.alphas_cumprod = alpha.cumprod(0)
        before = torch.cat([torch.ones(1, dtype=beta.dtype), self.alphas_cumprod[:-1]])
        self.posterior_variance = beta * (1 - before) / (1 - self.alphas_cumprod)
        # β̃_0 = 0: its logarithm is clipped to that of β̃_1.
        clipped = torch.cat([self.posterior_variance[1:2], self.posterior_variance[1:]]) if len(beta) > 1 else beta
        self.posterior_log_variance_clipped = clipped.log()
        self.posterior_mean_coef1 = beta * before.sqrt() / (1 - self.alphas_cumprod)
        self.posterior_mean_coef2 = (1 - before) * alpha.sqrt() / (1 - self.alphas_cumprod)

    @classmethod
    def create(
        cls, schedule: str, timesteps: int, *, learned_variance: bool, rescale_timesteps: bool
    ) -> "GaussianDiffusion":
        """A process of T timesteps; with `rescale_timesteps` the network is told `t · 1000/T`, else t."""
        told = torch.arange(timesteps, dtype=torch.float64) * (1000 / timesteps if rescale_timesteps else 1.0)
        return cls(torch.from_numpy(betas(schedule, timesteps)), learned_variance, told, timesteps / 1000)

    def respaced(self, steps: int) -> "GaussianDiffusion":
        """The process of `steps` of its timesteps, for faster sampling; the network is told the original ones."""
        kept = torch.tensor(space_timesteps(self.timesteps, [steps]))
        alpha_bar = self.alphas_cumprod[kept]
        before = torch.cat([torch.ones(1, dtype=alpha_bar.dtype), alpha_bar[:-1]])
        beta = 1 - alpha_bar / before
        return GaussianDiffusion(beta, self.learned_variance, self._model_timesteps[kept], self._loss_scale)

    def model_timesteps(self, t: Tensor) -> Tensor:
        """What the network is told for t, `(B,)` float32."""
        return self._model_timesteps.to(t.device)[t].float()

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t of clean images `(B, ch, H, W)` in [−1, 1] at timesteps `(B,)`, for standard normal noise."""
        return _at(self.alphas_cumprod.sqrt(), t, x0) * x0 + _at((1 - self.alphas_cumprod).sqrt(), t, x0) * noise

    def posterior(self, x0: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and (clipped) log-variance of q(x_{t−1} | x_t, x_0)."""
        mean = _at(self.posterior_mean_coef1, t, x_t) * x0 + _at(self.posterior_mean_coef2, t, x_t) * x_t
        return mean, _at(self.posterior_log_variance_clipped, t, x_t).expand_as(x_t)

    def predict_noise(self, network: Network, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """ε_θ(x_t, t, labels), of the shape of `x_t`; the variance half, where there is one, is dropped."""
        return network(x_t, self.model_timesteps(t), labels)[:, : x_t.shape[1]]

    def score(self, network: Network, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """∇ log p(x_t | labels), of the shape of `x_t`."""
        return -self.predict_noise(network, x_t, t, labels) / _at((1 - self.alphas_cumprod).sqrt(), t, x_t)

    def p_mean_variance(
        self, network: Network, x_t: Tensor, t: Tensor, labels: Tensor | None = None, clip: bool = True
    ) -> Reverse:
        """The reverse step that the network predicts; with `clip`, its x_0 is held in [−1, 1]."""
        return self._reverse(network(x_t, self.model_timesteps(t), labels), x_t, t, clip)

    def _reverse(self, output: Tensor, x_t: Tensor, t: Tensor, clip: bool) -> Reverse:
        eps = output[:, : x_t.shape[1]]
        noise = _at((1 - self.alphas_cumprod).sqrt(), t, x_t) * eps
        pred_x0 = (x_t - noise) / _at(self.alphas_cumprod.sqrt(), t, x_t)
        if clip:
            pred_x0 = pred_x0.clamp(-1, 1)
        mean, log_variance = self.posterior(pred_x0, x_t, t)
        if self.learned_variance:
            share = (output[:, x_t.shape[1] :] + 1) / 2
            log_variance = share * _at(self.beta.log(), t, x_t) + (1 - share) * log_variance
        return Reverse(mean, log_variance, pred_x0)

    def training_losses(
        self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Each example's loss, `(B,)`: `mse` of ε, with learned variance also `vb`, and their sum `loss`."""
        x_t = self.q_sample(x0, t, noise)
        output = network(x_t, self.model_timesteps(t), labels)
        mse = _flat_mean((output[:, : x0.shape[1]] - noise).square())
        if not self.learned_variance:
            return {"mse": mse, "loss": mse}
        # The variational term trains v alone: the mean's gradient is stopped.
        frozen = torch.cat([output[:, : x0.shape[1]].detach(), output[:, x0.shape[1] :]], dim=1)
        vb = self._variational_bound(frozen, x0, x_t, t) * self._loss_scale
        return {"mse": mse, "vb": vb, "loss": mse + vb}

    def _variational_bound(self, output: Tensor, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(x_{t−1} | x_t)) in bits a dimension; at t = 0, −log p_θ(x_0 | x_1)."""
        true_mean, true_log_variance = self.posterior(x0, x_t, t)
        model = self._reverse(output, x_t, t, clip=False)
        kl = _normal_kl(true_mean, true_log_variance, model.mean, model.log_variance)
        nll = -_discretized_log_likelihood(x0, model.mean, 0.5 * model.log_variance)
        return torch.where(t == 0, _flat_mean(nll), _flat_mean(kl)) / math.log(2)

    @torch.no_grad()
    def sample(
        self,
        network: Network,
        shape: tuple[int, ...],
        labels: Tensor | None,
        generator: torch.Generator,
        clip: bool = True,
    ) -> Tensor:
        """Ancestral sampling: images `shape` = `(B, ch, H, W)` from pure noise; `generator` is a CPU generator."""
        device = labels.device if labels is not None else torch.device("cpu")
        x = torch.randn(shape, generator=generator).to(device)
        for step in reversed(range(self.timesteps)):
            reverse = self.p_mean_variance(network, x, torch.full((shape[0],), step, device=device), labels, clip)
            x = reverse.mean
            if step > 0:
                x = x + (0.5 * reverse.log_variance).exp() * torch.randn(shape, generator=generator).to(device)
        return x


def _at(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """The entries of a `(T,)` float64 table at t, as `(B, 1, …)` of the type of `like`."""
    return values.to(t.device)[t].to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def _flat_mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1)


def _normal_kl(mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """KL between diagonal Gaussians, element by element, in nats."""
    spread = (log_variance1 - log_variance2).exp() + (mean1 - mean2).square() * (-log_variance2).exp()
    return 0.5 * (log_variance2 - log_variance1 - 1 + spread)


def _normal_cdf(x: Tensor) -> Tensor:
    """The tanh approximation of the standard normal's distribution function, as in the reference implementation."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _discretized_log_likelihood(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log-probability of 8-bit values x in [−1, 1] under a Gaussian, each value a bin of width 2/255, the ends open."""
    inverse, centred = (-log_scale).exp(), x - mean
    upper = _normal_cdf(inverse * (centred + 1 / 255))
    lower = _normal_cdf(inverse * (centred - 1 / 255))
    inside = (upper - lower).clamp_min(1e-12).log()
    highest = (1 - lower).clamp_min(1e-12).log()
    return torch.where(x < -0.999, upper.clamp_min(1e-12).log(), torch.where(x > 0.999, highest, inside))
