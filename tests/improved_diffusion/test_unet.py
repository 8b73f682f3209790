"""The U-Net against the golden networks (names, order, shapes, function), and its laws."""

import pytest
import torch
from networks import GOLDEN, assert_golden, assert_golden_output, fill, golden_input

from pag.base.errors import InputError
from pag.improved_diffusion.unet import UNet

COMMON = {
    "in_channels": 3,
    "out_channels": 6,
    "num_classes": 11,
    "num_heads": 4,
    "scale_shift_norm": True,
    "dropout": 0.3,
}
NETWORKS = {
    "unet_tiny_classcond": COMMON
    | {"base_channels": 32, "num_res_blocks": 1, "attention_downsamplings": (2, 4), "channel_mult": (1, 2, 2)},
    "unet_tiny_noscaleshift": COMMON
    | {"base_channels": 32, "num_res_blocks": 2, "attention_downsamplings": (2,), "channel_mult": (1, 2)}
    | {"out_channels": 3, "num_classes": None, "num_heads": 1, "scale_shift_norm": False},
    "unet_cifar_classcond": COMMON
    | {"base_channels": 128, "num_res_blocks": 3, "attention_downsamplings": (2, 4), "channel_mult": (1, 2, 2, 2)},
    "unet_imagenet64_classcond": COMMON
    | {"base_channels": 128, "num_res_blocks": 3, "attention_downsamplings": (4, 8), "channel_mult": (1, 2, 3, 4)},
}
# The 64×64 network amplifies float32's rounding: its golden output is 7e-4 of its deviation from what float64 gives.
TOLERANCES = {"unet_imagenet64_classcond": 1e-3}


def filled(**options):
    """A network in evaluation mode with the golden networks' deterministic weights."""
    with torch.device("meta"):
        network = UNet(**options)
    return fill(network.to_empty(device="cpu"))


def grey(**options):
    """A small network of 8×8×1 images with every parameter away from zero."""
    torch.manual_seed(0)
    network = UNet(**NETWORKS["unet_tiny_classcond"] | {"in_channels": 1, "out_channels": 1, "dropout": 0.0} | options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network


def batch(size=3, dtype=torch.float32):
    torch.manual_seed(1)
    return torch.randn(size, 1, 8, 8, dtype=dtype), torch.linspace(0, 999, size), torch.arange(size)


@pytest.mark.parametrize("name", NETWORKS)
def test_golden(name):
    golden, options = GOLDEN[f"improved_diffusion.{name}"], NETWORKS[name]
    network = filled(**options)
    assert_golden(network, golden)
    labels = None if options["num_classes"] is None else torch.tensor([0, 10])
    with torch.no_grad():
        output = network(golden_input(golden), torch.tensor([10.0, 250.5]), labels)
    assert_golden_output(output, golden, TOLERANCES.get(name, 1e-4))
    assert output.mean().item() == pytest.approx(golden["output_mean"], abs=1e-4 * golden["output_std"])
    assert output.std().item() == pytest.approx(golden["output_std"], rel=1e-4)


def test_a_new_network_predicts_zero():
    network = UNet(**NETWORKS["unet_tiny_classcond"])
    x, times, labels = batch(2)
    assert torch.equal(network(x.expand(-1, 3, -1, -1), times, labels), torch.zeros(2, 6, 8, 8))


@pytest.mark.parametrize("scale_shift_norm", [True, False])
def test_every_parameter_gets_a_gradient(scale_shift_norm):
    network = grey(scale_shift_norm=scale_shift_norm, num_classes=3)
    network(*batch()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_examples_do_not_see_each_other():
    network = grey().double().eval()
    x, times, labels = batch(dtype=torch.float64)
    together = network(x, times, labels)
    alone = torch.cat([network(x[i : i + 1], times[i : i + 1], labels[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_time_and_label_matter_and_whole_times_may_be_integers():
    network = grey().eval()
    x, times, labels = batch()
    output = network(x, times.long(), labels)
    torch.testing.assert_close(output, network(x, times.long().float(), labels))
    assert not torch.allclose(output, network(x, times + 30, labels), atol=1e-4)
    assert not torch.allclose(output, network(x, times.long(), labels + 1), atol=1e-4)


def test_half_precision_and_one_level_and_wide_first_level():
    x, times, labels = batch()
    network = grey().eval()
    with torch.no_grad():
        exact, half = network(x, times, labels), network.bfloat16()(x.bfloat16(), times, labels)
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.1 * exact.std()
    assert grey(channel_mult=(1,), attention_downsamplings=(1,))(x, times, labels).shape == x.shape
    assert grey(channel_mult=(2, 3), attention_downsamplings=(2,))(x, times, labels).shape == x.shape


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_channels", 48),
        ("base_channels", 0),
        ("num_heads", 7),
        ("num_heads", 0),
        ("num_res_blocks", 0),
        ("channel_mult", ()),
        ("attention_downsamplings", (3,)),
        ("attention_downsamplings", (8,)),
    ],
)
def test_impossible_options_are_named(key, value):
    with pytest.raises(InputError, match=f"^{key}"):
        UNet(**NETWORKS["unet_tiny_classcond"] | {key: value})


def test_images_that_do_not_divide_and_missing_labels():
    x, times, labels = batch()
    with pytest.raises(InputError, match="images of 8×6 cannot be halved 2 times"):
        grey()(x[..., :6], times, labels)
    with pytest.raises(InputError, match="labels"):
        grey()(x, times)
    with pytest.raises(InputError, match="labels"):
        grey(num_classes=None)(x, times, labels)
