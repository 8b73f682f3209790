"""The classifiers against the golden networks, and their laws: any images, finite second derivatives, clear refusals."""

import pytest
import torch
from networks import GOLDEN, assert_golden, assert_golden_output, fill, golden_input

from pag.architectures import build
from pag.classifiers import load_weights
from pag.errors import InputError
from pag.objectives import Alignment, Batch
from stages.params import load_params

NAMES = {
    "pag_rob.resnet18": "resnet18",
    "pag_rob.vit": "vit",
    "mlp_mixer_cifar": "mlp_mixer",
    "trades.wideresnet34_10": "wide_resnet34_10",
} | {f"pytorch_vgg_cifar10.{name}": name for d in (11, 13, 16) for name in (f"vgg{d}", f"vgg{d}_bn")}
SMALL = {
    "resnet": {"channels": [8, 16], "blocks": [1, 1], "norm": "group", "activation": "silu"},
    "vit": {"patch_size": 4, "width": 12, "depth": 2, "heads": 3, "hidden": 8, "dropout": 0.0},
    "vgg": {"depth": 11, "norm": "batch", "dropout": 0.0},
    "mlp_mixer": {"patch_size": 4, "width": 8, "depth": 2, "token_hidden": 6, "channel_hidden": 10, "dropout": 0.0},
    "wide_resnet": {"depth": 10, "width": 1, "dropout": 0.0, "duplicate_block": False},
}
PLAIN = {"mean": 0.5, "std": 0.5}


def small(family, shape=(1, 32, 32), num_classes=3, **changes):
    torch.manual_seed(0)
    options = {"normalization": PLAIN, **SMALL[family], **changes}
    return build(family, shape, num_classes, **options)


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
    golden = GOLDEN[name]
    options = load_params().architecture(NAMES[name]).model_dump()
    with torch.device("meta"):
        network = build(image_shape=(3, 32, 32), num_classes=10, **options).network
    network = fill(network.to_empty(device="cpu"))
    assert_golden(network, golden)
    with torch.no_grad():
        # Some of these networks amplify float32's rounding to the tolerance.
        assert_golden_output(network.double()(golden_input(golden).double()), golden)


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize(("shape", "num_classes"), [((1, 32, 32), 3), ((3, 40, 32), 7), ((4, 64, 96), 2)])
def test_any_images_and_classes(family, shape, num_classes):
    model = small(family, shape, num_classes).eval()
    x = torch.rand(2, *shape)
    assert model(x).shape == (2, num_classes)
    torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", SMALL)
def test_alignment_trains_every_parameter(family):
    model = small(family).double().eval()  # in evaluation mode examples do not mix
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 1, 32, 32, generator=generator, dtype=torch.float64)
    classes, labels = torch.tensor([[0], [1], [2], [0]]), torch.tensor([0, 1, 2, 1])
    targets = torch.randn(4, 1, 1, 32, 32, generator=generator, dtype=torch.float64)
    losses = Alignment(1.0, 3, "log_softmax")(model, Batch(x, labels, classes, targets), generator)
    losses["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_unused_block_of_a_public_checkpoint_changes_nothing():
    plain, doubled = small("wide_resnet").eval(), small("wide_resnet", duplicate_block=True).eval()
    state = {k: v for k, v in doubled.state_dict().items() if "sub_block1" not in k}
    assert len(state) < len(doubled.state_dict())
    plain.load_state_dict(state)
    x = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(plain(x), doubled(x))


@pytest.mark.parametrize("family", SMALL)
def test_weights_of_the_network_alone_load(tmp_path, family):
    model, other = small(family).eval(), small(family).eval()
    path = tmp_path / "public.pt"
    torch.save({f"module.{name}": value for name, value in model.network.state_dict().items()}, path)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    load_weights(path, other)
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(model(x), other(x))
    with pytest.raises(InputError, match="another architecture"):
        load_weights(path, small("mlp_mixer" if family != "mlp_mixer" else "vit"))


@pytest.mark.parametrize(
    ("family", "changes", "told"),
    [
        ("vit", {"patch_size": 5}, "Patches of 5 pixels do not tile images of 32 × 32"),
        ("vit", {"heads": 5}, "A width of 12 cannot be shared out to 5 heads"),
        ("mlp_mixer", {"patch_size": 3}, "Patches of 3 pixels do not tile"),
        ("vgg", {"shape": (1, 8, 8)}, "fewer than 32 × 32"),
        ("wide_resnet", {"depth": 12}, r"6 n \+ 4 layers"),
    ],
)
def test_what_does_not_fit_is_told(family, changes, told):
    with pytest.raises(InputError, match=told):
        small(family, **changes)
    with pytest.raises(InputError, match="Unknown architecture family 'alexnet'"):
        build("alexnet", (1, 8, 8), 3, PLAIN)


def test_normalisation_is_a_parameter():
    changed = small("resnet", normalization={"mean": 0.25, "std": 2.0}).eval()
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(changed(x), changed.network((x - 0.25) / 2.0))
    with pytest.raises(InputError, match=r"wide_resnet34_10\.normalization\.std"):
        load_params(overrides=["architectures.wide_resnet34_10.normalization={mean: 0.0, std: 0.0}"])
