"""Laws of the random streams: a key names a stream, and nothing else does."""

import numpy as np
import torch

from pag.base.randomness import numpy_stream, torch_stream


def test_equal_keys_are_equal_streams_and_others_differ():
    keys = [(1, "a", 0), (2, "a", 0), (1, "b", 0), (1, "a", 1), (1, "a", 0, 0), (1, "a")]
    draws = [numpy_stream(*key).standard_normal(8) for key in keys]
    assert np.array_equal(draws[0], numpy_stream(*keys[0]).standard_normal(8))
    assert len({tuple(draw) for draw in draws}) == len(keys)
    draws = [torch.randn(8, generator=torch_stream(*key)) for key in keys]
    assert torch.equal(draws[0], torch.randn(8, generator=torch_stream(*keys[0])))
    assert len({tuple(draw.tolist()) for draw in draws}) == len(keys)
