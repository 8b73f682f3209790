"""Laws of what the explorer is given: frames and probabilities as they were, in little space."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from pag.base.errors import InputError
from pag.base.json_files import read_json, write_json
from stages.params.evaluation import EvaluationParams
from stages.params.reading import Params
from stages.reporting.explorers import explorer_data, read_explorer
from stages.reporting.targeted import Targeted, read_targeted

EVALUATION = Params(Path(__file__).parents[2] / "params.yaml").dataset("digits").read("evaluation", EvaluationParams)
N, K, C = 3, 10, 12
EPSILONS = np.array([0.0, *EVALUATION.targeted.ladder])


def targeted(channels=1, side=8, seed=0):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (N, K, len(EPSILONS), channels, side, side), dtype=np.uint8)
    return Targeted(np.array([2, 0, 11]), EPSILONS, 3, frames, rng.dirichlet(np.ones(C), (N, K, len(EPSILONS))))


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_and_probabilities_come_back(channels):
    networks = {"Vanilla": targeted(channels), "SBG": targeted(channels, seed=1)}
    data = explorer_data(networks, [f"c{i}" for i in range(C)], EVALUATION, ["Vanilla", "SBG"])
    assert (data["targets"], data["labels"], data["threats"]) == (K, [2, 0, 11], [0.9])
    for stored, of in zip(data["networks"], networks.values(), strict=True):
        sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(stored["sprite"]))).convert("RGB"))
        tiles = sprite.reshape(N, K, 8, len(EPSILONS), 8, 3).transpose(0, 1, 3, 5, 2, 4)
        assert np.array_equal(tiles, np.broadcast_to(of.frames, tiles.shape))
        levels = np.frombuffer(base64.b64decode(stored["probabilities"]), dtype=np.uint8)
        assert np.abs(levels.reshape(of.probabilities.shape) / 255 - of.probabilities).max() <= 0.5 / 255 + 1e-9


def test_a_default_grid_takes_a_few_megabytes_even_of_noise():
    networks = {str(i): targeted(seed=i) for i in range(12)}
    text = str(explorer_data(networks, [str(i) for i in range(C)], EVALUATION, ["0"]))
    assert len(text) < 4e6


def test_sizes_of_the_attack_are_written_as_in_the_tables():
    of = targeted()
    ladder = np.array([0.0, 0.5, 8 / 255, *EPSILONS[3:]])
    data = explorer_data({"Vanilla": replace(of, epsilons=ladder)}, ["c"] * C, EVALUATION, ["Vanilla"])
    assert data["sizes"][:3] == ["0", "0.5", "8/255"]


def test_of_large_images_not_all_are_taken():
    data = explorer_data({str(i): targeted(3, side=96, seed=i) for i in range(4)}, ["c"] * C, EVALUATION, ["0"])
    assert (data["labels"], data["tried"]) == ([2], N)
    sprite = Image.open(io.BytesIO(base64.b64decode(data["networks"][0]["sprite"])))
    assert sprite.size == (96 * len(EPSILONS), 96 * K)


@pytest.fixture
def stored(tmp_path):
    data = explorer_data({"<!--<script>": targeted()}, [f"c{i}" for i in range(C)], EVALUATION, ["<!--<script>"])
    write_json(tmp_path / "explorer.json", data)
    return tmp_path / "explorer.json"


def test_what_was_written_is_read_and_ends_no_element(stored):
    text = read_explorer(stored).text
    assert "<" not in text
    assert json.loads(text) == read_json(stored)


@pytest.mark.parametrize("key", ["labels", "tried", "networks", "shape"])
def test_a_damaged_file_is_refused(stored, key):
    write_json(stored, {name: value for name, value in read_json(stored).items() if name != key})
    with pytest.raises(InputError, match=r"explorer\.json is damaged; run `pag visualize` again"):
        read_explorer(stored)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"explorer\.json does not exist; run the stage that makes it"):
        read_explorer(tmp_path / "explorer.json")


ARRAYS = {
    "labels": np.array([0]), "epsilons": np.array([0.0, 1.0]), "large": np.array([1]),
    "frames": np.zeros((1, 2, 2, 1, 4, 4), np.uint8), "probabilities": np.full((1, 2, 2, 3), 1 / 3, np.float32),
}  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        {"labels": np.array([3])}, {"labels": np.array([0, 1])}, {"large": np.array([2])}, {"large": np.array([-1])},
        {"epsilons": np.array([0.0])}, {"frames": np.zeros((1, 4, 2, 1, 4, 4), np.uint8)},
        {"frames": np.zeros((1, 2, 2, 1, 4, 4), np.float32)}, {"probabilities": np.full((1, 2, 1, 3), 1 / 3, np.float32)},
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(tmp_path, damage):
    path = tmp_path / "targeted.safetensors"
    save_file(ARRAYS, path)
    assert read_targeted(path).target_probability == pytest.approx(1 / 3)
    save_file(ARRAYS | damage, path)
    with pytest.raises(InputError, match=r"targeted\.safetensors has arrays that do not fit each other; run `pag eval"):
        read_targeted(path)


def test_what_an_older_version_wrote_is_to_be_made_again(tmp_path):
    path = tmp_path / "targeted.safetensors"
    save_file({"images": np.zeros((1, 1, 4, 4), np.float32), "labels": np.array([0])}, path)
    with pytest.raises(InputError, match="has no array 'epsilons' with 1 axes; run the stage that makes it again"):
        read_targeted(path)


def test_large_examples_are_those_of_their_eps():
    of = targeted()
    assert np.array_equal(of.adversarial, of.frames[:, :, 3] / np.float32(255))
    assert np.array_equal(of.images, of.frames[:, 4, 0] / np.float32(255)) is False  # random frames do not begin alike
    assert SimpleNamespace(value=of.target_probability).value == pytest.approx(
        np.mean([of.probabilities[i, k, 3, k] for i in range(N) for k in range(K)])
    )
