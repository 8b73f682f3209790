"""The U-Net against the golden networks: names, order, shapes, and the function that it computes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pag.errors import InputError
from pag.improved_diffusion.unet import UNet

GOLDEN = json.loads(Path("tests/golden/networks.json").read_text(encoding="utf-8"))
COMMON = {"in_channels": 3, "num_heads": 4, "scale_shift_norm": True, "num_classes": 11, "out_channels": 6, "dropout": 0.3}
NETWORKS = {
    "unet_cifar_classcond": {
        "base_channels": 128, "num_res_blocks": 3, "attention_downsamplings": (2, 4), "channel_mult": (1, 2, 2, 2)},
    "unet_imagenet64_classcond": {
        "base_channels": 128, "num_res_blocks": 3, "attention_downsamplings": (4, 8), "channel_mult": (1, 2, 3, 4)},
    "unet_tiny_classcond": {
        "base_channels": 32, "num_res_blocks": 1, "attention_downsamplings": (2, 4), "channel_mult": (1, 2, 2)},
    "unet_tiny_noscaleshift": {
        "base_channels": 32, "num_res_blocks": 2, "attention_downsamplings": (2,), "channel_mult": (1, 2),
        "num_classes": None, "num_heads": 1, "scale_shift_norm": False, "out_channels": 3},
}  # fmt: skip


def _fill(network):
    """The deterministic weights that the golden outputs were made with."""
    state = network.state_dict()
    for k, name in enumerate(sorted(name for name, value in state.items() if value.is_floating_point())):
        value = state[name]
        s = np.sin(0.7 * np.arange(value.numel(), dtype=np.float64) + 0.3 * k)
        if value.ndim <= 1:
            filled = 0.1 * s + (1 if name.endswith("weight") else 0)
        else:
            filled = s * np.sqrt(2 / value[0].numel())
        state[name] = torch.from_numpy(filled).reshape(value.shape).float()
    network.load_state_dict(state)


@pytest.fixture(params=NETWORKS, scope="module")
def case(request):
    return UNet(**{**COMMON, **NETWORKS[request.param]}), GOLDEN[f"improved_diffusion.{request.param}"]


def test_state_dict_is_that_of_the_public_checkpoints(case):
    network, golden = case
    state = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert list(state.items()) == list(golden["state"].items())
    assert sum(p.numel() for p in network.parameters()) == golden["parameters"]


def test_output_is_that_of_the_reference(case):
    network, golden = case
    _fill(network)
    shape = golden["input_shape"]
    x = torch.from_numpy(np.sin(0.37 * np.arange(np.prod(shape)))).reshape(shape).float()
    labels = torch.tensor([0, 10]) if network.conditional else None
    with torch.no_grad():
        output = network.eval()(x, torch.tensor([10.0, 250.5]), labels)
    assert list(output.shape) == golden["output_shape"]
    # The 64 × 64 network amplifies float32's rounding: in float64 it is 7e-4 away from the golden output, too.
    tolerance = (1e-3 if shape[2] == 64 else 1e-4) * golden["output_std"]
    head = torch.tensor(golden["output_head"])
    torch.testing.assert_close(output.flatten()[:20], head, rtol=0, atol=tolerance + 1e-6)
    assert float(output.mean()) == pytest.approx(golden["output_mean"], abs=tolerance)
    assert float(output.std()) == pytest.approx(golden["output_std"], abs=tolerance)


def _small(**changes):
    options = {**COMMON, **NETWORKS["unet_tiny_classcond"], "in_channels": 1, "out_channels": 1, **changes}
    return UNet(**options)


def test_every_parameter_gets_a_gradient_on_8_by_8_grey_images():
    network = _small()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.01)  # the zero-initialised convolutions would hide what is before them
    network(torch.rand(2, 1, 8, 8), torch.tensor([1.0, 500.0]), torch.tensor([0, 10])).square().sum().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


def test_examples_do_not_mix():
    network = _small().double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.01)
    x, t, labels = torch.rand(3, 1, 8, 8, dtype=torch.float64), torch.tensor([3.0, 5.0, 7.0]), torch.tensor([1, 2, 3])
    whole = network(x, t, labels)
    torch.testing.assert_close(whole[1:2], network(x[1:2], t[1:2], labels[1:2]))


def test_misfits_are_told():
    with pytest.raises(InputError, match="base_channels must be a multiple of 32"):
        _small(base_channels=48)
    with pytest.raises(InputError, match="cannot be halved"):
        _small()(torch.rand(1, 1, 6, 6), torch.ones(1), torch.zeros(1, dtype=torch.long))
    with pytest.raises(InputError, match="Labels"):
        _small()(torch.rand(1, 1, 8, 8), torch.ones(1))
