"""Laws of modes: evaluation for a while leaves every layer in the mode that it was in."""

import pytest
import torch
from torch import nn

from pag.networks.checking import check_outputs
from pag.networks.modes import evaluating


@pytest.fixture
def network():
    """A network in training mode, but for one layer."""
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    network[1].eval()
    return network


def modes(network):
    return [module.training for module in network.modules()]


def test_evaluation_is_for_a_while(network):
    before = modes(network)
    with evaluating(network):
        assert not any(modes(network))
    assert modes(network) == before == [True, True, False, True, True]
    with pytest.raises(RuntimeError), evaluating(network):
        network(torch.rand(2, 9))
    assert modes(network) == before


def test_trying_a_network_leaves_its_modes_and_its_statistics(network):
    before, mean = modes(network), network[1].running_mean.clone()
    check_outputs("a network", network, torch.rand(2, 1, 2, 2), 2)
    assert modes(network) == before
    assert torch.equal(network[1].running_mean, mean)
