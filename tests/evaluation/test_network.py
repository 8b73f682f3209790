"""Laws of the form that a network is attacked in: the same function, whatever the order of its channels."""

import pickle
from functools import partial

import pytest
import torch
from torch import nn
from viewed_networks import Merged, Viewed

from pag.evaluation.network import channels_last, weights_digest
from pag.networks.architectures import build


def seeded(make):
    torch.manual_seed(0)
    return make().double().eval()


def resnet(norm):
    return build("resnet", (3, 8, 8), 5, channels=[4, 6], blocks=[1, 1], norm=norm, activation="silu")


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_outputs_and_input_gradients_are_those_of_the_network(norm):
    load = partial(seeded, partial(resnet, norm))
    x = torch.rand(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    loaded = pickle.loads(pickle.dumps(channels_last(load, x)))
    outcomes = []
    for model in (load(), loaded()):
        at = x.clone().requires_grad_()
        outputs = model(at)
        outcomes.append((outputs, *torch.autograd.grad(outputs.square().sum(), at)))
    (outputs, gradient), (laid_out, of_laid_out) = outcomes
    assert not next(w for w in loaded().parameters() if w.ndim == 4 and w.shape[1] > 1).is_contiguous()
    torch.testing.assert_close(laid_out, outputs, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(of_laid_out, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("network", [Viewed, Merged])
def test_a_network_that_takes_views_stays_as_it_is(network):
    load = partial(seeded, partial(network, 36, 5))
    x = torch.rand(2, 3, 6, 6, dtype=torch.float64)
    model = channels_last(load, x)()
    assert all(weight.is_contiguous() for weight in model.parameters())
    assert torch.equal(model(x), load()(x))


def test_a_digest_of_weights_does_not_see_how_they_are_stored():
    def digest(values):
        module = nn.Module()
        module.register_buffer("values", values)
        return weights_digest(module)

    values = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(2))
    complex_values = torch.complex(values, -values)
    assert digest(values) == digest(values.to(memory_format=torch.channels_last)) == digest(values.to_sparse())
    assert digest(complex_values.conj()) == digest(complex_values.conj().resolve_conj()) != digest(complex_values)
    assert digest(values) != digest(values.double())
    assert digest(values) != digest(values.reshape(3, 2, 4, 5))
