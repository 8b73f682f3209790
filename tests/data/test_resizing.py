"""Laws of bicubic resizing, and the diffusion stages at another size than the images'."""

import json

import numpy as np
import pytest
import torch
from artifacts import write_ten_images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pag.data.resizing import resize
from pag.targets.kinds import open_targets
from stages import score_targets, train_diffusion
from stages.params.reading import Params
from stages.paths import DatasetPaths

sizes = st.integers(1, 12)


@settings(deadline=None, max_examples=50)
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.floats(-3, 3))
def test_shape_and_constants(size, new_size, value):
    x = torch.full((2, 3, 1, *size), value, dtype=torch.float64)
    resized = resize(x, *new_size)
    assert resized.shape == (2, 3, 1, *new_size)
    torch.testing.assert_close(resized, torch.full_like(resized, value))


def test_same_size_is_the_identity():
    x = torch.rand(2, 3, 5, 7)
    assert resize(x, 5, 7) is x


def test_is_linear_and_takes_images_one_by_one():
    x, y = torch.rand(2, 4, 3, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(resize(2 * x - 3 * y, 6, 5), 2 * resize(x, 6, 5) - 3 * resize(y, 6, 5))
    torch.testing.assert_close(resize(x, 6, 5)[2], resize(x[2], 6, 5))


@pytest.mark.parametrize(("size", "new_size"), [(96, 64), (64, 96)])
def test_agrees_with_pillow(size, new_size):
    x = np.random.default_rng(0).random((size, size), dtype=np.float32)
    expected = Image.fromarray(x).resize((new_size, new_size), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(
        resize(torch.from_numpy(x)[None], new_size, new_size)[0], np.asarray(expected), atol=1e-5
    )


def test_diffusion_stages_work_at_the_size_that_is_asked_for(tmp_path, monkeypatch):
    network = {
        "base_channels": 32,
        "channel_mult": [1],
        "num_res_blocks": 1,
        "attention_downsamplings": [],
        "num_heads": 1,
    }
    few = {"steps": 1, "batch_size": 2, "samples": {"per_class": 1, "steps": 2}}
    diffusion = {"image_size": 8, "network": network, **few}
    overrides = [f"params/digits.yaml:diffusion.{key}={json.dumps(value)}" for key, value in diffusion.items()]
    params = Params(overrides=[*overrides, "params/digits.yaml:figures.timesteps=[500]"])
    monkeypatch.chdir(tmp_path)
    paths = DatasetPaths("digits")
    write_ten_images(paths, 12)
    train_diffusion.run(params, "digits", 1)
    assert json.loads((paths.diffusion(1) / "config.json").read_text())["image_shape"] == [1, 8, 8]
    score_targets.run(params, "digits", "train", 1)
    targets = open_targets(paths.targets("score_based", 1))
    targets.check_matches(10, 10, (1, 12, 12))
