"""Noise schedules (Nichol and Dhariwal, 2021, section 3.2), and subsets of their timesteps for faster sampling.

linear: β from 0.1/T to 20/T in equal steps.      cosine: ᾱ(s) = cos²((s + 0.008) / 1.008 · π/2), s = t/T.
"""

from collections.abc import Sequence
from itertools import accumulate, repeat

import numpy as np
from numpy.typing import NDArray

from pag.errors import InputError

__all__ = ["betas", "space_timesteps"]


def betas(schedule: str, timesteps: int) -> NDArray[np.float64]:
    """β_0 … β_{T−1}, `(T,)` float64.

    Raises:
        InputError: the schedule is neither `linear` nor `cosine`.
    """
    if schedule == "linear":
        return np.linspace(0.1 / timesteps, 20 / timesteps, timesteps, dtype=np.float64)
    if schedule == "cosine":
        alpha_bar = np.cos((np.arange(timesteps + 1) / timesteps + 0.008) / 1.008 * np.pi / 2) ** 2
        cosine: NDArray[np.float64] = np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999)
        return cosine
    raise InputError(f"Unknown noise schedule {schedule!r}; known are linear, cosine.")


def space_timesteps(timesteps: int, sections: Sequence[int] | str) -> list[int]:
    """A subset of 0 … T − 1.

    Args:
        timesteps: T.
        sections: how many timesteps to take, evenly, from each of as many equal sections; or `"ddimN"` for N of them with
            a whole stride.

    Raises:
        InputError: there is no such subset.
    """
    if isinstance(sections, str):
        wanted = int(sections.removeprefix("ddim"))
        for stride in range(1, timesteps):
            if len(range(0, timesteps, stride)) == wanted:
                return list(range(0, timesteps, stride))
        raise InputError(f"No whole stride takes {wanted} of {timesteps} timesteps.")
    size, longer = divmod(timesteps, len(sections))
    taken: list[int] = []
    start = 0
    for i, count in enumerate(sections):
        length = size + (i < longer)
        if not 1 <= count <= length:
            raise InputError(f"Cannot take {count} of {length} timesteps.")
        fraction = (length - 1) / (count - 1) if count > 1 else 1.0
        # Summed, not multiplied: at halves the rounding must fall as in the public implementation.
        taken += [start + round(offset) for offset in accumulate(repeat(fraction, count - 1), initial=0.0)]
        start += length
    return sorted(set(taken))
