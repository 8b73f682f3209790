"""The classifiers against the golden networks, and their laws: any images, finite second derivatives, clear refusals."""

import pytest
import torch
from networks import GOLDEN, assert_golden, assert_golden_output, fill, golden_input
from torch import nn

from pag.base.errors import InputError
from pag.networks.architectures import build
from pag.networks.classifier import load_weights
from pag.training.network import EagerNetwork
from pag.training.objectives import Alignment, Batch
from stages.params.architectures import read_architecture
from stages.params.reading import Params

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


def small(family, shape=(1, 32, 32), num_classes=3, **changes):
    torch.manual_seed(0)
    return build(family, shape, num_classes, **SMALL[family] | changes)


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
    golden = GOLDEN[name]
    options = read_architecture(Params(), NAMES[name]).options
    with torch.device("meta"):
        network = build(image_shape=(3, 32, 32), num_classes=10, **options).network
    network = fill(network.to_empty(device="cpu"))
    assert_golden(network, golden)
    with torch.no_grad():
        # Some of these networks amplify float32's rounding to the tolerance.
        assert_golden_output(network.double()(golden_input(golden).double()), golden)


def test_dropout_of_everything_leaves_a_transformer_its_residual_path():
    """As in the public implementation: all that a layer adds to its tokens is dropped, the attention's output too."""
    layers = small("vit", dropout=1.0).train().network.enc
    tokens = torch.randn(2, 5, 12)
    assert torch.equal(layers(tokens), tokens)


def test_no_dropout_draws_nothing():
    model, x = small("vit").train(), torch.rand(2, 1, 32, 32)
    state = torch.get_rng_state()
    assert torch.equal(model(x), model.eval()(x))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize(("shape", "num_classes"), [((1, 32, 32), 3), ((3, 40, 32), 7), ((4, 64, 96), 2)])
def test_any_images_and_classes(family, shape, num_classes):
    model = small(family, shape, num_classes).eval()
    x = torch.rand(2, *shape)
    assert model(x).shape == (2, num_classes)
    scale = float(model(x).detach().abs().max())
    torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-4 * scale)


def alignment_loss(model):
    """Eq. (4) of four images, one class each."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 1, 32, 32, generator=generator, dtype=torch.float64)
    classes, labels = torch.tensor([[0], [1], [2], [0]]), torch.tensor([0, 1, 2, 1])
    targets = torch.randn(4, 1, 1, 32, 32, generator=generator, dtype=torch.float64)
    return Alignment(1.0, 3, "log_softmax")(EagerNetwork(model), Batch(x, labels, classes, targets), generator)["loss"]


@pytest.mark.parametrize("family", SMALL)
def test_order_of_the_weights_in_memory_changes_nothing(family):
    results = []
    for order in (torch.contiguous_format, torch.channels_last):
        model = small(family).double().eval().to(memory_format=order)
        loss = alignment_loss(model)
        results.append((loss, *torch.autograd.grad(loss, list(model.parameters()))))
    scale = max(float(here.detach().abs().max()) for here in results[0])  # some gradients are 0 but for rounding
    for there, here in zip(*results, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-9, atol=1e-9 * scale)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        *((family, {}) for family in SMALL),
        ("resnet", {"norm": "batch", "activation": "relu"}),
        ("resnet", {"norm": "none"}),
        ("vgg", {"norm": "none"}),
    ],
)
def test_alignment_trains_every_parameter(family, changes):
    model = small(family, **changes).double().eval()  # in evaluation mode examples do not mix
    alignment_loss(model).backward()
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


def test_unused_block_is_left_alone_by_training():
    model = small("wide_resnet", duplicate_block=True).double()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.1)
    alignment_loss(model).backward()
    optimizer.step()
    unused = {name for name in before if "sub_block1" in name}
    assert {name for name, value in model.network.state_dict().items() if torch.equal(value, before[name])} == unused
    assert all(parameter.requires_grad == (name not in unused) for name, parameter in model.network.named_parameters())


def test_networks_of_the_digits_are_drawn_in_the_order_of_their_names():
    """A seed's network is the same wherever it is drawn: stem, blocks (shortcut last), linear layer, nothing in between."""
    torch.manual_seed(0)
    model = build(image_shape=(1, 8, 8), num_classes=10, **read_architecture(Params(), "resnet8").options)
    after = torch.rand(1)
    torch.manual_seed(0)
    stem = [nn.Conv2d(1, 16, 3), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3)]
    blocks = [
        layer for n, m in ((16, 32), (32, 64)) for layer in (nn.Conv2d(n, m, 3), nn.Conv2d(m, m, 3), nn.Conv2d(n, m, 1))
    ]
    drawn = [parameter for layer in (*stem, *blocks, nn.Linear(64, 10)) for parameter in layer.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), drawn, strict=True))
    assert torch.equal(torch.rand(1), after)


@pytest.mark.parametrize("family", SMALL)
def test_weights_of_the_network_alone_load(tmp_path, family):
    model, other = small(family).eval(), small(family).eval()
    path = tmp_path / "public.pt"
    state = {name: value for name, value in model.network.state_dict().items() if "num_batches_tracked" not in name}
    torch.save({f"module.{name}": value for name, value in state.items()}, path)  # as torch 0.4.0 wrote it
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    load_weights(str(path), other)
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
        ("vgg", {"depth": 19}, "not 19 layers"),
        ("vgg", {"norm": "group"}, "norm group"),
        ("wide_resnet", {"depth": 12}, r"6 n \+ 4 layers"),
        ("resnet", {"channels": [8, 12]}, r"Channels of \[8, 12\] cannot be shared out to 8 groups"),
        ("resnet", {"normalization": {"mean": [0.1, 0.2], "std": 1.0}}, "mean has 2 numbers for images of 1 channel"),
        ("resnet", {"normalization": {"mean": 0.5, "std": 0.0}}, "std must be positive, not 0"),
    ],
)
def test_what_does_not_fit_is_told(family, changes, told):
    with pytest.raises(InputError, match=told):
        small(family, **changes)
    with pytest.raises(InputError, match="Unknown architecture family 'alexnet'"):
        build("alexnet", (1, 8, 8), 3)


def test_normalisation_is_a_parameter():
    changed = small("resnet", normalization={"mean": 0.25, "std": 2.0}).eval()
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(changed(x), changed.network((x - 0.25) / 2.0))
    coloured = small("resnet", (3, 8, 8), normalization={"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 3.0]})
    x = torch.rand(2, 3, 8, 8)
    each = torch.stack([(x[:, c] - 0.1 * (c + 1)) / (c + 1) for c in range(3)], dim=1)
    torch.testing.assert_close(coloured(x), coloured.network(each))


def test_normalisation_stands_in_the_parameters():
    key = "architectures.resnet8.normalization"
    assert read_architecture(Params(), "resnet8").options["normalization"] == {"mean": [0.5], "std": [0.5]}
    changed = read_architecture(Params(overrides=[f"{key}.mean=[0.1, 0.2, 0.3]", f"{key}.std=2.0"]), "resnet8")
    assert changed.options["normalization"] == {"mean": [0.1, 0.2, 0.3], "std": [2.0]}
    for value in ("0.0", "[1.0, -1.0]", "[]", "half"):
        with pytest.raises(InputError, match=r"architectures\.resnet8\.normalization\.std"):
            read_architecture(Params(overrides=[f"{key}.mean=0.5", f"{key}.std={value}"]), "resnet8")
    changed = Params(overrides=["architectures.wide_resnet34_10.normalization={mean: 0.0, std: 0.0}"])
    with pytest.raises(InputError, match=r"wide_resnet34_10\.normalization\.std"):
        read_architecture(changed, "wide_resnet34_10")
