"""Gaussian diffusion: noise that is added in T steps, and a network ε_θ that learns to take it away.

    q(x_t | x_0)          = N(√ᾱ_t x_0, (1 − ᾱ_t) I),   ᾱ_t = ∏_{s ≤ t} (1 − β_s)            (Ho et al. 2020, eq. 4)
    q(x_{t−1} | x_t, x_0) = N(c₁ x_0 + c₂ x_t, β̃_t I)                                        (Ho et al. 2020, eqs. 6–7)
    L_simple              = ‖ε − ε_θ(x_t, t)‖²                                                (Ho et al. 2020, eq. 14)
    x_{t−1}               = √ᾱ_{t−1} x_0 + √(1 − ᾱ_{t−1} − σ²) ε + σ z,   σ² = η² β̃_t          (Song et al. 2021, eqs. 12 and 16)
    log σ_t²              = (1 + v)/2 · log β_t + (1 − v)/2 · log β̃_t                         (Nichol & Dhariwal 2021, eq. 15)
    L_hybrid              = L_simple + T/1000 · L_vb, the mean detached in L_vb               (Nichol & Dhariwal 2021, eq. 16)
    ∇ log p(x_t | y)      = −ε_θ(x_t, t, y) / √(1 − ᾱ_t)                                      (the paper, section 4.2, appendix B)

The paper's score-based gradients ("Do Perceptually Aligned Gradients Imply Robustness?", section 4.2, appendix G.2) are differences
of such scores. The weight T/1000 is the public code's. Time is counted 0 … T − 1; x_0 is in [-1, 1].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.improved_diffusion.schedules import beta_schedule, space_timesteps

__all__ = ["Gaussian", "GaussianDiffusion", "NoiseModel", "discretized_log_likelihood", "kl_divergence"]

# A network (x_t (B, ch, …), times (B,), labels (B,) or None) -> (B, ch or 2 ch, …): ε, then v where the variance is learned.
NoiseModel = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Gaussian(NamedTuple):
    """Independent normal variables: `mean` and `log_variance`, each `(B, ch, …)`."""

    mean: Tensor
    log_variance: Tensor

    @property
    def variance(self) -> Tensor:
        """`(B, ch, …)`."""
        return self.log_variance.exp()


@dataclass(frozen=True, eq=False)
class GaussianDiffusion:
    """The forward process, its reversal by a network, and the losses that train the network.

    Attributes:
        betas: β_0 … β_{T−1}, `(T,)` float64.
        model_times: what the network sees for each of the T timesteps, `(T,)` float64.
        learned_variance: whether the network also gives v, in a second half of its output channels; else σ_t² = β̃_t.
    """

    betas: Tensor
    model_times: Tensor
    learned_variance: bool

    def __post_init__(self) -> None:
        """Refuses processes of one step, which have no posterior variance."""
        if len(self.betas) < 2:
            raise InputError("timesteps must be at least 2.")

    @classmethod
    def create(cls, schedule: str, timesteps: int, *, learned_variance: bool) -> "GaussianDiffusion":
        """Builds the process from its configuration; the network sees timestep t as `t · 1000/T`, as in the public checkpoints.

        Args:
            schedule: `"linear"` or `"cosine"`.
            timesteps: T.
            learned_variance: whether the network gives v beside ε.

        Raises:
            InputError: the schedule is unknown or has no T steps.
        """
        betas = beta_schedule(schedule, timesteps)
        times = torch.arange(timesteps, dtype=torch.float64)
        return cls(betas, times * (1000 / timesteps), learned_variance)

    def respaced(self, steps: int) -> "GaussianDiffusion":
        """The process on few of its timesteps (`space_timesteps`), at the same noise levels and with the times that networks know.

        Args:
            steps: how many, at least 2.
        """
        kept = torch.tensor(space_timesteps(len(self.betas), steps))
        alpha_bar = self.alphas_cumprod[kept]
        return replace(self, betas=1 - alpha_bar / _previous(alpha_bar), model_times=self.model_times[kept])

    @property
    def timesteps(self) -> int:
        """T."""
        return len(self.betas)

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        """ᾱ_t, `(T,)` float64 in (0, 1), falling."""
        return (1 - self.betas).cumprod(dim=0)

    @cached_property
    def posterior_variance(self) -> Tensor:
        """β̃_t, `(T,)` float64; 0 at t = 0."""
        return self.betas * (1 - _previous(self.alphas_cumprod)) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> Tensor:
        """log β̃_t, `(T,)` float64; at t = 0, where β̃ is 0, its value at t = 1."""
        return torch.cat([self.posterior_variance[1:2], self.posterior_variance[1:]]).log()

    @cached_property
    def posterior_mean_coef1(self) -> Tensor:
        """c₁, the weight of x_0 in the posterior's mean, `(T,)` float64."""
        return self.betas * _previous(self.alphas_cumprod).sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> Tensor:
        """c₂, the weight of x_t in the posterior's mean, `(T,)` float64."""
        return (1 - _previous(self.alphas_cumprod)) * (1 - self.betas).sqrt() / (1 - self.alphas_cumprod)

    def model_timesteps(self, t: Tensor) -> Tensor:
        """What the network sees for timesteps `(B,)` in 0 … T − 1: `(B,)` float32."""
        return self.model_times.to(torch.float32).to(t.device)[t]

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Draws x_t given x_0: `√ᾱ_t x_0 + √(1 − ᾱ_t) noise`.

        Args:
            x0: `(B, ch, …)` in [-1, 1].
            t: `(B,)` int64 in 0 … T − 1.
            noise: standard normal, of x0's shape.
        """
        alpha_bar = self.alphas_cumprod
        return _at(alpha_bar.sqrt(), t, x0) * x0 + _at((1 - alpha_bar).sqrt(), t, x0) * noise

    def posterior(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        """q(x_{t−1} | x_t, x_0) for x0 and x_t `(B, ch, …)` and t `(B,)`; the variance at t = 0 is that at t = 1."""
        mean = _at(self.posterior_mean_coef1, t, x_t) * x0 + _at(self.posterior_mean_coef2, t, x_t) * x_t
        return Gaussian(mean, _at(self.posterior_log_variance_clipped, t, x_t).expand_as(x_t))

    def predict_x0(self, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """The x_0 from which `q_sample` with noise `eps` makes x_t; all `(B, ch, …)`, t `(B,)`."""
        alpha_bar = self.alphas_cumprod
        return (x_t - _at((1 - alpha_bar).sqrt(), t, x_t) * eps) / _at(alpha_bar.sqrt(), t, x_t)

    def predict_noise(self, model: NoiseModel, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """ε_θ(x_t, t, y), without v where the network gives it.

        Args:
            model: the network.
            x_t: `(B, ch, …)`.
            t: `(B,)` int64 in 0 … T − 1.
            labels: `(B,)` int64 for a class-conditional network.

        Returns:
            `(B, ch, …)`.
        """
        return self._predict(model, x_t, t, labels)[0]

    def p_mean_variance(
        self, model: NoiseModel, x_t: Tensor, t: Tensor, labels: Tensor | None = None, *, clip: bool = False
    ) -> tuple[Gaussian, Tensor]:
        """The network's p(x_{t−1} | x_t), and the x_0 that it predicts.

        Args:
            model, x_t, t, labels: as in `predict_noise`.
            clip: whether the predicted x_0 is clipped to [-1, 1] before the mean is taken.
        """
        eps, v = self._predict(model, x_t, t, labels)
        return self._reverse(x_t, t, eps, v, clip)

    def training_losses(
        self, model: NoiseModel, x0: Tensor, t: Tensor, noise: Tensor, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The loss of each example: L_simple, or L_hybrid where the variance is learned.

        Args:
            model: the network.
            x0: `(B, ch, …)` in [-1, 1].
            t: `(B,)` int64 in 0 … T − 1.
            noise: standard normal, of x0's shape.
            labels: `(B,)` int64 for a class-conditional network.

        Returns:
            `mse`, `loss` and, where the variance is learned, `vb` (bits per dimension × T/1000; its gradient reaches v alone),
            each `(B,)`, averaged over dimensions.
        """
        x_t = self.q_sample(x0, t, noise)
        eps, v = self._predict(model, x_t, t, labels)
        mse = _per_example((noise - eps) ** 2)
        if v is None:
            return {"mse": mse, "loss": mse}
        reverse, _ = self._reverse(x_t, t, eps.detach(), v, clip=False)
        vb = self._variational_bound(x0, x_t, t, reverse) * (self.timesteps / 1000)
        return {"mse": mse, "vb": vb, "loss": mse + vb}

    @torch.no_grad()
    def sample(
        self, model: NoiseModel, x_T: Tensor, labels: Tensor | None, generator: torch.Generator, *, clip: bool = True
    ) -> Tensor:
        """Ancestral sampling (Ho et al. 2020, algorithm 2) through all timesteps of this process.

        Args:
            model: the network.
            x_T: standard normal noise `(B, ch, …)`, on the network's device.
            labels: `(B,)` int64 for a class-conditional network.
            generator: of the noise that each step adds; on any device.
            clip: whether each predicted x_0 is clipped to [-1, 1].

        Returns:
            Samples of x_T's shape, in [-1, 1] if clipped.
        """
        x = x_T
        for step in reversed(range(self.timesteps)):
            t = torch.full((len(x),), step, device=x.device)
            reverse, _ = self.p_mean_variance(model, x, t, labels, clip=clip)
            x = reverse.mean
            if step > 0:
                noise = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype)
                x = x + (0.5 * reverse.log_variance).exp() * noise.to(x.device)
        return x

    @torch.no_grad()
    def ddim_sample(
        self,
        model: NoiseModel,
        x_T: Tensor,
        labels: Tensor | None,
        *,
        eta: float = 0.0,
        noise: Callable[[], Tensor],
        clip: bool = True,
    ) -> Tensor:
        """DDIM sampling (Song et al. 2021, eq. 12) through all timesteps of this process.

        Args:
            model: the network.
            x_T: standard normal noise `(B, ch, …)`, on the network's device.
            labels: `(B,)` int64 for a class-conditional network.
            eta: η ≥ 0; 0 is deterministic given x_T, 1 adds as much noise as ancestral sampling.
            noise: gives the z of each step, of x_T's shape, if η > 0.
            clip: whether each predicted x_0 is clipped to [-1, 1], and ε taken from what is left.

        Returns:
            Samples of x_T's shape, in [-1, 1] if clipped.
        """
        x, before = x_T, _previous(self.alphas_cumprod)
        for step in reversed(range(self.timesteps)):
            t = torch.full((len(x),), step, device=x.device)
            eps = self.predict_noise(model, x, t, labels)
            x0 = self.predict_x0(x, t, eps)
            if clip:
                x0 = x0.clamp(-1, 1)
                eps = self._noise_between(x, x0, t)
            variance = eta**2 * float(self.posterior_variance[step])
            rest = math.sqrt(max(0.0, 1 - float(before[step]) - variance))
            x = math.sqrt(float(before[step])) * x0 + rest * eps
            if variance > 0:
                x = x + math.sqrt(variance) * noise()
        return x

    def _noise_between(self, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """The ε with which `q_sample` makes x_t of x0."""
        alpha_bar = self.alphas_cumprod
        return (x_t - _at(alpha_bar.sqrt(), t, x_t) * x0) / _at((1 - alpha_bar).sqrt(), t, x_t)

    def _predict(
        self, model: NoiseModel, x_t: Tensor, t: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        output, channels = model(x_t, self.model_timesteps(t), labels), x_t.shape[1]
        expected = 2 * channels if self.learned_variance else channels
        if output.shape[1] != expected:
            given = output.shape[1]
            raise InputError(f"learned_variance: the network must have {expected} output channels, not {given}.")
        return output[:, :channels], output[:, channels:] if self.learned_variance else None

    def _reverse(self, x_t: Tensor, t: Tensor, eps: Tensor, v: Tensor | None, clip: bool) -> tuple[Gaussian, Tensor]:
        x0 = self.predict_x0(x_t, t, eps)
        if clip:
            x0 = x0.clamp(-1, 1)
        posterior = self.posterior(x0, x_t, t)
        if v is None:
            return posterior, x0
        fraction = (v + 1) / 2
        log_variance = fraction * _at(self.betas.log(), t, x_t) + (1 - fraction) * posterior.log_variance
        return Gaussian(posterior.mean, log_variance), x0

    def _variational_bound(self, x0: Tensor, x_t: Tensor, t: Tensor, reverse: Gaussian) -> Tensor:
        kl = kl_divergence(self.posterior(x0, x_t, t), reverse)
        decoder = -discretized_log_likelihood(x0, reverse)
        return torch.where(t == 0, _per_example(decoder), _per_example(kl)) / math.log(2)


def kl_divergence(p: Gaussian, q: Gaussian) -> Tensor:
    """KL(p ‖ q) of each pair of normal variables, in nats; of their shape."""
    ratio = p.log_variance - q.log_variance
    return 0.5 * (ratio.exp() + (p.mean - q.mean) ** 2 * (-q.log_variance).exp() - 1 - ratio)


def discretized_log_likelihood(x: Tensor, gaussian: Gaussian) -> Tensor:
    """log of the mass that a normal variable has in the bin of x, one of 256 grey levels (Ho et al. 2020, eq. 13).

    Args:
        x: values `2 k / 255 − 1`, k = 0 … 255; the two outermost bins reach to infinity.
        gaussian: of x's shape.

    Returns:
        Of x's shape, in nats, at least log 1e-12. The distribution function is the public code's approximation (`_normal_cdf`).
    """
    deviation, scale, half = x - gaussian.mean, (-0.5 * gaussian.log_variance).exp(), 1 / 255
    below, above = _normal_cdf((deviation - half) * scale), _normal_cdf((deviation + half) * scale)
    mass = torch.where(x > 0.999, 1 - below, above - below)
    mass = torch.where(x < -0.999, above, mass)
    return mass.clamp(min=1e-12).log()


def _normal_cdf(x: Tensor) -> Tensor:
    """The standard normal distribution function to within 2e-4, as public checkpoints were trained with it.

    With the function itself the loss at t = 0 would be another by up to 1.3e-3 of its value.
    """
    return 0.5 * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())


def _previous(alpha_bar: Tensor) -> Tensor:
    """ᾱ_{t−1}, which is 1 before the first step."""
    return torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar[:-1]])


def _at(table: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The entries `(B, 1, …)` of a float64 table `(T,)` for each example's t, of x's type and on its device."""
    return table.to(x.dtype).to(x.device)[t].reshape(-1, *[1] * (x.dim() - 1))


def _per_example(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1)
