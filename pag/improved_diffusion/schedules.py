"""Noise schedules: the variance β_t that each of T steps of the forward process adds, and subsets of the steps.

    linear:  β_t evenly spaced from 0.1 / T to 20 / T                        (Ho et al. 2020, section 4; T = 1000 there)
    cosine:  β_t = min(1 − ᾱ((t + 1) / T) / ᾱ(t / T), 0.999),
             ᾱ(u) = cos²((u + 0.008) / 1.008 · π / 2)                        (Nichol & Dhariwal 2021, section 3.2)

Time is counted 0 … T − 1, so that t = 0 is the first, faintest noise.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from pag.base.errors import InputError

__all__ = ["SCHEDULES", "beta_schedule", "cosine_betas", "linear_betas", "space_timesteps"]


def linear_betas(timesteps: int) -> Tensor:
    """Ho et al.'s schedule, stretched to T steps; `(T,)` float64 in (0, 1).

    Raises:
        InputError: T ≤ 20, where the last β would reach 1.
    """
    if timesteps <= 20:
        raise InputError(f"timesteps must be more than 20 for the linear schedule, not {timesteps}.")
    return torch.linspace(0.1 / timesteps, 20 / timesteps, timesteps, dtype=torch.float64)


def cosine_betas(timesteps: int) -> Tensor:
    """Nichol & Dhariwal's schedule (their section 3.2); `(T,)` float64 in (0, 0.999]."""
    u = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    alpha_bar = torch.cos((u + 0.008) / 1.008 * (math.pi / 2)) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)


SCHEDULES: Mapping[str, Callable[[int], Tensor]] = {"linear": linear_betas, "cosine": cosine_betas}


def beta_schedule(schedule: str, timesteps: int) -> Tensor:
    """The variances β_0 … β_{T−1} of a named schedule.

    Args:
        schedule: a key of `SCHEDULES`.
        timesteps: T, at least 2.

    Returns:
        `(T,)` float64 in (0, 1).

    Raises:
        InputError: the schedule is unknown or has no T steps.
    """
    if schedule not in SCHEDULES:
        raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}, not {schedule!r}.")
    if timesteps < 2:
        raise InputError(f"timesteps must be at least 2, not {timesteps}.")
    return SCHEDULES[schedule](timesteps)


def space_timesteps(timesteps: int, steps: int | str | Sequence[int]) -> tuple[int, ...]:
    """Chooses few of T timesteps, for faster sampling (Nichol & Dhariwal 2021, section 4).

    Args:
        timesteps: T.
        steps: how many. A number: evenly spaced, the first and the last timestep among them. Several numbers (or
            `"10,15,20"`): T is cut into as many sections of near-equal length, earliest first, and each is spaced by itself.
            `"ddimN"`: N timesteps from 0 on at the smallest whole stride that gives N of them (Song et al. 2021).

    Returns:
        The chosen timesteps, ascending, each in 0 … T − 1.

    Raises:
        InputError: T steps do not hold that many.
    """
    if isinstance(steps, str) and steps.startswith("ddim"):
        return _strided(timesteps, _whole_number(steps.removeprefix("ddim")))
    if isinstance(steps, str):
        counts = [_whole_number(count) for count in steps.split(",")]
    else:
        counts = [steps] if isinstance(steps, int) else list(steps)
    if not counts:
        raise InputError("steps must hold at least one number.")
    length, longer = divmod(timesteps, len(counts))
    chosen: list[int] = []
    start = 0
    for section, count in enumerate(counts):
        size = length + (section < longer)
        chosen += [start + offset for offset in _even(size, count)]
        start += size
    return tuple(chosen)


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"steps must be numbers, or 'ddim' and a number, not {text!r}.") from None


def _strided(timesteps: int, count: int) -> tuple[int, ...]:
    for stride in range(1, timesteps + 1):
        if len(range(0, timesteps, stride)) == count:
            return tuple(range(0, timesteps, stride))
    raise InputError(f"steps: no whole stride takes {count} of {timesteps} timesteps.")


def _even(size: int, count: int) -> list[int]:
    if not 1 <= count <= size:
        raise InputError(f"steps must be in 1 … {size} for a section of {size} timesteps, not {count}.")
    # Added up, not multiplied: the error of the sum decides ties, as in the public code.
    stride = (size - 1) / max(1, count - 1)
    return [round(offset) for offset in accumulate([0.0] + [stride] * (count - 1))]
