"""Noise schedules: the variance β_t that each of T steps of the forward process adds, and subsets of the steps.

    linear:  β_t evenly spaced from 0.1 / T to 20 / T                        (Ho et al. 2020, section 4; T = 1000 there)
    cosine:  β_t = min(1 − ᾱ((t + 1) / T) / ᾱ(t / T), 0.999),
             ᾱ(u) = cos²((u + 0.008) / 1.008 · π / 2)                        (Nichol & Dhariwal 2021, section 3.2)

Time is counted 0 … T − 1, so that t = 0 is the first, faintest noise.
"""

import math
from collections.abc import Callable, Mapping
from itertools import accumulate

import torch
from torch import Tensor

from pag.base.errors import InputError

__all__ = ["beta_schedule", "space_timesteps"]


def _linear_betas(timesteps: int) -> Tensor:
    """Ho et al.'s schedule, stretched to T steps; `(T,)` float64 in (0, 1).

    Raises:
        InputError: T ≤ 20, where the last β would reach 1.
    """
    if timesteps <= 20:
        raise InputError(f"timesteps must be more than 20 for the linear schedule, not {timesteps}.")
    return torch.linspace(0.1 / timesteps, 20 / timesteps, timesteps, dtype=torch.float64)


def _cosine_betas(timesteps: int) -> Tensor:
    """Nichol & Dhariwal's schedule (their section 3.2); `(T,)` float64 in (0, 0.999]."""
    u = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    alpha_bar = torch.cos((u + 0.008) / 1.008 * (math.pi / 2)) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)


_SCHEDULES: Mapping[str, Callable[[int], Tensor]] = {"linear": _linear_betas, "cosine": _cosine_betas}


def beta_schedule(schedule: str, timesteps: int) -> Tensor:
    """The variances β_0 … β_{T−1} of a named schedule.

    Args:
        schedule: `"linear"` or `"cosine"`.
        timesteps: T, at least 2.

    Returns:
        `(T,)` float64 in (0, 1).

    Raises:
        InputError: the schedule is unknown or has no T steps.
    """
    if schedule not in _SCHEDULES:
        raise InputError(f"schedule must be one of {', '.join(_SCHEDULES)}, not {schedule!r}.")
    if timesteps < 2:
        raise InputError(f"timesteps must be at least 2, not {timesteps}.")
    return _SCHEDULES[schedule](timesteps)


def space_timesteps(timesteps: int, count: int) -> tuple[int, ...]:
    """Chooses few of T timesteps, for faster sampling (Nichol & Dhariwal 2021, section 4).

    Args:
        timesteps: T.
        count: how many: evenly spaced, the first and the last timestep among them.

    Returns:
        The chosen timesteps, ascending, each in 0 … T − 1.

    Raises:
        InputError: T steps do not hold that many.
    """
    if not 1 <= count <= timesteps:
        raise InputError(f"steps must be in 1 … {timesteps}, not {count}.")
    # Added up, not multiplied: the error of the sum decides ties, as in the public code.
    stride = (timesteps - 1) / max(1, count - 1)
    return tuple(round(offset) for offset in accumulate([0.0] + [stride] * (count - 1)))
