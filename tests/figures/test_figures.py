"""Laws of the figures: the same arrays give the same bytes, whatever the number of channels; names and numbers read well."""

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

from pag.figures import grids as figures
from pag.figures.names import attack_name, eps_text, percent, short_label, shortened, threat_names
from pag.figures.sheets import sheet
from pag.figures.style import png_bytes, save

RNG = np.random.default_rng(0)
NAMES = ("0", "1", "2")


def targeted(channels):
    tiles = RNG.random((2, 3, channels, 8, 8))
    numbers = {"L₂": ["0.0%", "55.4%"], "L∞": ["0.0%", "24.0%"]}
    return figures.targeted_grid(tiles[0, 0], "1", tiles, ["Vanilla", "SBG"], NAMES, numbers)


def gradients(channels, names=NAMES):
    g = RNG.normal(size=(2, 3, channels, 8, 8))
    g[0, 0] = 0  # a gradient of zero has no scale
    return figures.targets_by_source(RNG.random((channels, 8, 8)), "1", g, ["OI", "SBG"], names)


DOLLARS = ("$", "$x_{", "c$a$t")


def test_names_are_text_whatever_is_in_them():
    """Nothing in them is taken for a formula; matplotlib would raise where it is none."""
    numbers = {"L₂": ["0.0%", "55.4%"]}
    tiles = RNG.random((2, 3, 1, 8, 8))
    grid = figures.targeted_grid(tiles[0, 0], "$x", tiles, ["$a", "b$"], DOLLARS, numbers)
    for of in (grid, gradients(1, DOLLARS)):
        assert png_bytes(sheet(of))
    assert set(DOLLARS) <= {text.get_text() for text in sheet(grid).findobj(Text)}


DRAWINGS = {
    "targeted, gray": lambda: targeted(1),
    "targeted, colour": lambda: targeted(3),
    "source, gray": lambda: gradients(1),
    "source, colour": lambda: gradients(3, ("airplane", "automobile", "bird")),
    "timestep": lambda: figures.targets_by_timestep(RNG.random((1, 8, 8)), "2", RNG.normal(size=(2, 3, 1, 8, 8)), [5, 900], NAMES),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWINGS)
def test_bytes_repeat_and_settings_stay(name):
    global RNG
    before = dict(matplotlib.rcParams)
    drawn = []
    for _ in range(2):
        RNG = np.random.default_rng(0)
        drawn.append(png_bytes(sheet(DRAWINGS[name]())))
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(("classes", "columns"), [(2, 2), (10, 10), (11, 6), (12, 6), (20, 10), (21, 7)])
def test_more_than_ten_classes_are_in_bands(classes, columns):
    """Each class is drawn once, beside the input, and a band is no wider than ten tiles; names of rows stand before each."""
    names, tiles = [f"c{i}" for i in range(classes)], RNG.random((2, classes, 1, 4, 4))
    numbers = {"L₂": ["1%", "2%"]}
    figure = sheet(figures.targeted_grid(tiles[0, 0], "c1", tiles, ["Vanilla", "SBG"], names, numbers))
    texts = [text.get_text() for text in figure.findobj(Text)]
    bands = -(-classes // columns)
    assert all(texts.count(name) == 1 + bands * (name == "c1") for name in names)
    assert texts.count("Vanilla") == texts.count("Target class") == bands
    assert texts.count("Robust accuracy") == texts.count("2%") == 1
    drawn = figure.axes[0].images
    assert len(drawn) == 2 * (classes + bands)
    lefts = {round(tile.get_extent()[0], 3) for tile in drawn}
    assert len(lefts) == columns + 1
    corners = {(round(tile.get_extent()[0], 3), round(tile.get_extent()[2], 3)) for tile in drawn}
    assert len(corners) == len(drawn)  # none hides another


def test_classes_that_are_left_out_are_told():
    tiles = RNG.random((1, 3, 1, 4, 4))
    figure = sheet(figures.targeted_grid(tiles[0, 0], "0", tiles, ["Vanilla"], NAMES, {}, 200))
    assert "The first 3 of 200 classes." in [text.get_text() for text in figure.findobj(Text)]


def test_scale_of_a_gradient_is_not_seen():
    image, g = RNG.random((1, 8, 8)), RNG.normal(size=(1, 3, 1, 8, 8))
    shown = [figures.targets_by_source(image, "1", s * g, ["OI"], NAMES).tiles for s in (1.0, 2.0**20)]
    assert np.array_equal(*shown)


def test_zero_is_in_the_middle_of_the_colours():
    """A gradient of only positive values does not use the half that means negative ones."""
    g = np.zeros((1, 3, 1, 1, 3))
    g[0, 0, 0, 0], g[0, 1, 0, 0] = (3, 0, 1.5), (-3, 0, 1.5)
    (up, zero, half), (down, *_), nothing = np.moveaxis(
        figures.targets_by_source(g[0, 0], "1", g, ["OI"], NAMES).tiles[0, :, :, 0], 1, -1
    )
    assert up[0] > up[2] + 0.2  # red
    assert down[2] > down[0] + 0.2  # blue
    assert zero.min() > 0.95
    assert up[2] < half[2] < zero[2]
    assert np.array_equal(nothing, [zero] * 3)
    colored = figures.targets_by_source(np.zeros((3, 1, 1)), "1", np.full((1, 3, 3, 1, 1), 2.0), ["OI"], NAMES).tiles
    assert np.array_equal(colored, np.ones_like(colored))


def test_saved_png_is_whole(tmp_path):
    figure = sheet(targeted(1))
    save(figure, tmp_path / "folder" / "figure.png")
    assert (tmp_path / "folder" / "figure.png").read_bytes() == png_bytes(figure)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["figure.png"]


def test_names():
    assert [eps_text(e) for e in (0.5, 8 / 255, 0.175, 1.0, 15.0)] == ["0.5", "8/255", "0.175", "1", "15"]
    assert percent(0.5539) == "55.4%"
    assert [attack_name(a) for a in ("l0_fmn", "gaussian_blur", "new")] == ["L₀-FMN", "Gaussian blur", "new"]
    threats = {"a": ("l2", 0.5), "b": ("l2", 1.0), "c": ("linf", 8 / 255)}
    assert threat_names(threats) == {"a": "L₂ ε = 0.5", "b": "L₂ ε = 1", "c": "L∞"}


def test_short_labels():
    assert short_label("aligned margin L₂ + NN (own class)") == "AM L₂ + NN own"
    assert short_label("SBG") == "SBG"
    assert [shortened(text, 5) for text in ("SBG λ", "SBG λ = 1")] == ["SBG λ", "SBG…"]
