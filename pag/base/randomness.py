"""Random streams that depend on nothing but a seed and the name of what is drawn.

A stream is keyed by `(seed, purpose, indices …)`: what one sample draws does not depend on the batch it is in, on the number of
workers or ranks, or on an interruption.
"""

import zlib

import numpy as np
import torch

__all__ = ["numpy_stream", "torch_stream"]


def _entropy(seed: int, purpose: str, indices: tuple[int, ...]) -> list[int]:
    # The length keeps (…, 0) apart from (…): NumPy pads its entropy with zeros.
    return [seed, zlib.crc32(purpose.encode()), len(indices), *indices]


def numpy_stream(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """A NumPy generator for the stream `(seed, purpose, indices)`; all numbers non-negative."""
    return np.random.default_rng(_entropy(seed, purpose, indices))


def torch_stream(seed: int, purpose: str, *indices: int) -> torch.Generator:
    """A CPU torch generator for the stream `(seed, purpose, indices)`; all numbers non-negative."""
    state = np.random.SeedSequence(_entropy(seed, purpose, indices)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
