"""Laws of targets as a tensor: what stores of the same source give, in float32, and a sentence for what does not fit."""

import numpy as np
import pytest
import torch

from pag.base.errors import InputError
from pag.diffusion.model import DiffusionConfig
from pag.targets.heuristic_store import write_nearest
from pag.targets.kinds import open_targets
from pag.targets.representatives import nearest_neighbor
from pag.targets.score_based import score_based_gradients
from pag.targets.tensors import kernel_targets, nearest_neighbor_targets, score_based_targets

N, C, SHAPE = 12, 3, (1, 8, 8)
NETWORK = {"base_channels": 32, "channel_mult": (1,), "num_res_blocks": 1, "attention_downsamplings": (), "num_heads": 1,
           "dropout": 0.0, "scale_shift_norm": True}  # fmt: skip


def levels():
    return np.random.default_rng(0).integers(0, 256, (N, 8, 8, 1)).astype(np.uint8)


def images():
    return torch.from_numpy(levels()).permute(0, 3, 1, 2).float() / 255


def labels():
    return torch.arange(N) % C


def model():
    torch.manual_seed(0)
    made = DiffusionConfig(SHAPE, C, NETWORK, "cosine", 100, learned_variance=False).build()
    for parameter in made.network.parameters():
        if not parameter.any():  # a network before training gives all labels the same
            torch.nn.init.normal_(parameter, std=0.1)
    made.network.eval()
    return made


@pytest.mark.parametrize("relative_to", ["image", "own_class"])
@pytest.mark.parametrize("pool", [2, None])
def test_nearest_neighbors_are_those_of_a_store(tmp_path, relative_to, pool):
    found = nearest_neighbor(levels(), labels().numpy(), levels(), C, N if pool is None else pool, 7)
    write_nearest(tmp_path / "store", *found, relative_to, labels().numpy())
    stored = open_targets(tmp_path / "store").gather(torch.arange(N), torch.arange(C).expand(N, -1), images())
    ours = nearest_neighbor_targets(images(), labels(), relative_to=relative_to, pool_per_class=pool, seed=7)
    torch.testing.assert_close(ours, stored, rtol=0, atol=1e-6)


def test_the_kernel_has_the_nearest_neighbor_and_the_class_mean_as_its_limits():
    nearest = nearest_neighbor_targets(images(), labels(), relative_to="image")
    torch.testing.assert_close(
        kernel_targets(images(), labels(), sigma=1e-3, relative_to="image"), nearest, rtol=0, atol=1e-6
    )
    wide = kernel_targets(images(), labels(), sigma=1e4, relative_to="image") + images()[:, None]
    other = labels()[:, None] != torch.arange(C)
    means = torch.stack([images()[labels() == c].mean(dim=0) for c in range(C)])
    torch.testing.assert_close(wide[other], means.expand(N, -1, -1, -1, -1)[other], rtol=0, atol=1e-5)


@pytest.mark.parametrize("targets", [kernel_targets, nearest_neighbor_targets])
def test_relative_to_the_own_class_targets_of_an_image_cancel_as_gradients_of_a_log_softmax_do(targets):
    g = targets(images(), labels(), relative_to="own_class")
    rows = torch.arange(N)
    others = g.sum(dim=1) - g[rows, labels()]
    torch.testing.assert_close(g[rows, labels()], -others / (C - 1), rtol=0, atol=1e-5)


def test_score_based_targets_are_those_of_equation_8_whatever_part_of_a_set_is_asked_for():
    diffusion, rows = model(), torch.arange(N)
    expected = score_based_gradients(diffusion, images(), rows, split="train", timestep=40, draws=2, seed=5)
    options = {"timestep": 40, "draws": 2, "seed": 5}
    assert torch.equal(score_based_targets(images(), labels(), diffusion, **options), expected)
    part = score_based_targets(images()[7:], labels()[7:], diffusion, rows=rows[7:], **options)
    torch.testing.assert_close(part, expected[7:], rtol=1e-4, atol=1e-5)
    own = score_based_targets(images(), labels(), diffusion, relative_to="own_class", **options)
    other = labels()[:, None] != torch.arange(C)
    torch.testing.assert_close(own[other], (expected - expected[rows, labels()][:, None])[other])


def test_what_does_not_fit_is_told():
    x, y = images(), labels()
    for given, told in (
        ((2 * x, y), r"in \[0, 1\]"),
        ((x[:0], y[:0]), r"these are \(0, 1, 8, 8\)"),
        ((x[:, 0], y), r"these are \(12, 8, 8\)"),
        ((x, y[1:]), "as many labels"),
        ((x, y.float()), "int64 from 0"),
        ((x, y - 1), "int64 from 0"),
    ):
        for targets in (kernel_targets, nearest_neighbor_targets):
            with pytest.raises(InputError, match=told):
                targets(*given)
        with pytest.raises(InputError, match=told):
            score_based_targets(*given, model(), timestep=1)
    for sigma in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="sigma is a positive, finite number"):
            kernel_targets(x, y, sigma=sigma)
    for options in ({"timestep": 100}, {"timestep": -1}, {"timestep": 1, "draws": 0}):
        with pytest.raises(InputError, match=r"timestep is in 0 … 99 and draws at least 1"):
            score_based_targets(x, y, model(), **options)
    for given in ((x, y + 1), (x.expand(-1, 3, -1, -1), y)):
        with pytest.raises(InputError, match="of 3 classes and 1 channels, and the images are not"):
            score_based_targets(*given, model(), timestep=1)
