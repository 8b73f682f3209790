"""Laws of grids of images on the page: the tiles are the images, in their places, and what was drawn is found in its PNG again."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.utils import save_image

from pag.base.errors import InputError
from pag.base.json_files import read_json, write_json
from pag.figures.grids import targeted_grid
from pag.page.report import Picture
from stages.reporting.pictures import read_picture, save_grid, save_samples
from stages.reporting.samples import read_samples

RNG = np.random.default_rng(0)
NAMES = ("a", "b", "c")


def pixels(png):
    image = np.asarray(Image.open(io.BytesIO(png)))
    return image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)


def stored(folder, channels=3):
    levels = RNG.integers(0, 256, (2, 3, channels, 4, 5), dtype=np.uint8)
    numbers = {"L₂": ["1%", "2%"], "L∞": ["3%", "4%"]}
    grid = targeted_grid(levels[1, 2] / 255, "b", levels / 255, ["Vanilla", "SBG"], NAMES, numbers, 7)
    save_grid(grid, folder / "grid.json")
    return levels


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_the_images_to_the_byte(tmp_path, channels):
    levels = stored(tmp_path, channels)
    picture = read_picture(tmp_path / "grid.json", "A caption.", "pulled toward", tmp_path / "grid.png")
    for row, of in zip(picture.rows, levels, strict=True):
        first, *rest = map(pixels, row.tiles)
        assert np.array_equal(first, levels[1, 2])
        assert np.array_equal(rest, of)
    assert [(row.name, row.numbers) for row in picture.rows] == [("Vanilla", ("1%", "3%")), ("SBG", ("2%", "4%"))]
    assert (picture.label, picture.columns, picture.measures) == ("b", NAMES, ("L₂", "L∞"))
    assert picture.caption == "A caption. The first 3 of 7 classes."
    assert picture.copy == str(tmp_path / "grid.png")


@pytest.mark.parametrize(("columns", "bands"), [(1, [1]), (10, [10]), (11, [6, 5]), (20, [10, 10]), (21, [7, 7, 7])])
def test_every_column_stands_in_one_band(columns, bands):
    found = Picture("", "", tuple(map(str, range(columns))), ()).bands
    assert [len(band) for band in found] == bands
    assert [c for band in found for c in band] == list(range(columns))


@pytest.mark.parametrize("per_class", [1, 3])
def test_samples_are_cut_out_of_what_torchvision_drew(tmp_path, per_class):
    drawn = torch.from_numpy(RNG.integers(0, 256, (4 * per_class, 3, 5, 6)) / 255)
    save_image(drawn, tmp_path / "samples.png", nrow=per_class)
    samples = read_samples(tmp_path / "samples.png", (3, 5, 6))
    assert samples.shape == (4, per_class, 3, 5, 6)
    assert np.allclose(samples.reshape(-1, 3, 5, 6), drawn, rtol=0, atol=0.51 / 255)
    save_samples(samples[:3], ("a", "b", "c", "d"), tmp_path / "samples.json")
    picture = read_picture(tmp_path / "samples.json", "Samples.", "sample")
    assert [row.name for row in picture.rows] == ["a", "b", "c"]
    assert (picture.label, picture.columns) == ("", tuple(str(i + 1) for i in range(per_class)))
    assert picture.caption == "Samples. The first 3 of 4 classes."
    assert [len(row.tiles) for row in picture.rows] == [per_class] * 3


def test_samples_of_another_size_are_refused(tmp_path):
    save_image(torch.zeros(4, 3, 5, 6), tmp_path / "samples.png", nrow=2)
    with pytest.raises(InputError, match=r"samples\.png has no samples of 8 × 8 pixels"):
        read_samples(tmp_path / "samples.png", (3, 8, 8))
    (tmp_path / "samples.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"samples\.png cannot be read as an image"):
        read_samples(tmp_path / "samples.png", (3, 5, 6))
    with pytest.raises(InputError, match=r"none\.png does not exist"):
        read_samples(tmp_path / "none.png", (3, 5, 6))


@pytest.mark.parametrize("key", ["columns", "rows"])
def test_a_damaged_picture_is_refused(tmp_path, key):
    stored(tmp_path)
    path = tmp_path / "grid.json"
    write_json(path, {name: value for name, value in read_json(path).items() if name != key})
    with pytest.raises(InputError, match=r"grid\.json is damaged; run `pag visualize` again"):
        read_picture(path, "", "")
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        read_picture(tmp_path / "none.json", "", "")
