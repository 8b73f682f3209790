"""Laws of batch norm over ranks, as far as one process can show them; `tests/machine/test_ranks.py` has the rest."""

import pytest
import torch
from torch import nn

from pag.optimization.parallel import Together


def test_batch_norm_over_ranks_refuses_one_value_a_channel_as_torch_does():
    layer = nn.BatchNorm2d(3)
    together = Together(layer)
    together.share(1)  # of the whole batch
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        together._batch_norm(layer, layer.forward, torch.rand(1, 3, 1, 1))
    assert layer.running_var.isfinite().all()
