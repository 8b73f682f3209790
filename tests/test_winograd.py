"""Laws of convolutions by Winograd's filtering: they are convolutions."""

import pytest
import torch
from torch import nn

from pag.improved_diffusion.unet import UNet
from pag.randomness import torch_stream
from pag.winograd import by_winograd


def draw(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch_stream(0, "test"), dtype=dtype)


def convolution(**options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Conv2d(
            **({"in_channels": 128, "out_channels": 160, "kernel_size": 3, "padding": 1} | options)
        ).double()


@pytest.mark.parametrize("size", [(4, 4), (8, 12), (32, 32), (1, 1), (2, 3), (5, 6), (9, 31)], ids=str)
@pytest.mark.parametrize("biased", [True, False])
def test_outputs_are_those_of_a_plain_convolution(size, biased):
    layer, x = convolution(bias=biased), draw(5, 128, *size)
    (fast,) = by_winograd(nn.Sequential(layer))
    assert not isinstance(fast, nn.Conv2d)
    torch.testing.assert_close(fast(x), layer(x).detach(), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(fast(x.to(memory_format=torch.channels_last)), fast(x), rtol=0, atol=0)


def test_float32_keeps_six_digits():
    layer, x = convolution().float(), draw(3, 128, 16, 16, dtype=torch.float32)
    exact = convolution()(x.double()).detach()
    (fast,) = by_winograd(nn.Sequential(layer))
    assert float((fast(x) - exact).norm() / exact.norm()) < 5e-6


def test_layers_do_not_disturb_each_other():
    """They share memory, in which one leaves what another must not see."""
    layers = [convolution(), convolution(in_channels=160, out_channels=128), convolution(bias=False)]
    plain, fast = nn.Sequential(*layers), by_winograd(nn.Sequential(*layers))
    big, small = draw(2, 128, 9, 9), draw(7, 128, 4, 4)
    for x in (big, small, big.mul(1e6), small):
        torch.testing.assert_close(fast(x), plain(x).detach(), rtol=1e-10, atol=1e-10)


def test_an_image_is_computed_by_itself():
    (fast,) = by_winograd(nn.Sequential(convolution()))
    x = draw(130, 128, 4, 4)
    torch.testing.assert_close(fast(x), torch.cat([fast(image[None]) for image in x]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [{"stride": 2}, {"padding": 0}, {"kernel_size": 1, "padding": 0}, {"groups": 2}, {"dilation": 2, "padding": 2},
     {"padding_mode": "circular"}, {"in_channels": 64}, {"out_channels": 64}],
    ids=str,
)  # fmt: skip
def test_other_convolutions_stay_as_they_are(options):
    layer = convolution(**options)
    (kept,) = by_winograd(nn.Sequential(layer))
    assert kept is layer


def test_a_unet_predicts_the_same():
    network = UNet(
        in_channels=3, base_channels=128, out_channels=3, num_res_blocks=1, attention_downsamplings=[2], dropout=0.0,
        channel_mult=[1, 1], num_classes=4, num_heads=2, scale_shift_norm=True,
    ).double().eval()  # fmt: skip
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02, generator=torch_stream(0, "weights"))
    inputs = draw(2, 3, 8, 8), torch.tensor([3.0, 700.0]), torch.tensor([0, 3])
    before = sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
    with torch.no_grad():
        plain = network(*inputs)
        torch.testing.assert_close(by_winograd(network)(*inputs), plain, rtol=1e-9, atol=1e-10)
    assert sum(isinstance(layer, nn.Conv2d) for layer in network.modules()) < before / 2
