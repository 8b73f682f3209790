"""Laws of the figures: the same arrays give the same bytes, whatever the number of channels; names and numbers read well."""

from typing import get_args

import artifacts
import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

from pag.base.vocabulary import Family
from pag.figures import charts, scatters
from pag.figures import grids as figures
from pag.figures.names import attack_name, eps_text, percent, short_label, threat_names
from pag.figures.panels import legend_columns
from pag.figures.style import FAMILY_MARKERS, MUTED, PALETTE, method_color, png_bytes, save

RNG = np.random.default_rng(0)
METHODS = [
    artifacts.METHODS[name]
    for name in ("vanilla", "one_image", "nearest_neighbor_own_class", "score_based", "published", "at_l2")
]
NAMES = ("0", "1", "2")
INTERVALS = [(0.1 * i, 0.1 * i, 0.1 * i + 0.05) for i in range(len(METHODS))]


def targeted(channels):
    tiles = RNG.random((2, 3, channels, 8, 8))
    numbers = {"L₂": ["0.0%", "55.4%"], "L∞": ["0.0%", "24.0%"]}
    return figures.targeted_grid(tiles[0, 0], "1", tiles, ["Vanilla", "SBG"], NAMES, numbers)


def gradients(channels, names=NAMES):
    g = RNG.normal(size=(2, 3, channels, 8, 8))
    g[0, 0] = 0  # a gradient of zero has no scale
    return figures.targets_by_source(RNG.random((channels, 8, 8)), "1", g, ["OI", "SBG"], names)


def toy():
    x1, x2 = np.linspace(-1, 1, 5), np.linspace(-2, 2, 7)
    classes = RNG.integers(0, 2, (7, 5))
    points, labels = RNG.normal(size=(6, 2)), np.array([0, 1, 0, 1, 0, 1])
    return charts.toy_boundaries(points, labels, x1, x2, {"Vanilla": classes, "Aligned": 1 - classes})


def training():
    curves = {m: {"validation_accuracy": [0.1, None, 0.9]} for m in METHODS} | {METHODS[0]: {}}
    return charts.training_curves(curves, {"validation_accuracy": "accuracy", "validation_cosine": "cosine"})


DOLLARS = ("$", "$x_{", "c$a$t")


def test_names_are_text_whatever_is_in_them():
    """Nothing in them is taken for a formula; matplotlib would raise where it is none."""
    method = artifacts.METHODS["vanilla"].model_copy(update={"label": "$\\frac{", "name": "other"})
    scatter = scatters.robustness_against_alignment([method, METHODS[0]], INTERVALS[:2], {"L₂": INTERVALS[:2]})
    numbers = {"L₂": ["0.0%", "55.4%"]}
    tiles = RNG.random((2, 3, 1, 8, 8))
    grid = figures.targeted_grid(tiles[0, 0], "$x", tiles, ["$a", "b$"], DOLLARS, numbers)
    curves = charts.training_curves({method: {"a": [0.1, 0.2]}}, {"a": "accuracy"})
    attacks = charts.attack_breakdown([method], {"AutoAttack": [{"apgd-ce": 0.5, "square": 0.4}]})
    for figure in (scatter, grid, curves, attacks, gradients(1, DOLLARS)):
        assert png_bytes(figure)
    assert set(DOLLARS) <= {text.get_text() for text in grid.findobj(Text)}


DRAWINGS = {
    "targeted, gray": lambda: targeted(1),
    "targeted, colour": lambda: targeted(3),
    "source, gray": lambda: gradients(1),
    "source, colour": lambda: gradients(3, ("airplane", "automobile", "bird")),
    "timestep": lambda: figures.targets_by_timestep(RNG.random((1, 8, 8)), "2", RNG.normal(size=(2, 3, 1, 8, 8)), [5, 900], NAMES),
    "lambda": lambda: charts.lambda_curves([0, 0.5], {"clean": INTERVALS[:2]}, INTERVALS[:2]),
    "scatter": lambda: scatters.robustness_against_alignment(METHODS, INTERVALS, {"L₂": INTERVALS, "L∞": INTERVALS}),
    "cost": lambda: scatters.robustness_over_cost(
        METHODS, [1, 2, 2, 2, 3, 5.7], {"L₂": INTERVALS}, {"L₂": [0, 3, 5]}, {"L₂": [False, True] * 3}
    ),
    "training": training,
    "loss": lambda: charts.loss_curve([1, 2], [1.0, 0.5]),
    "toy": toy,
    "pairs": lambda: charts.toy_seeds({"Vanilla": [0.0, 0.1], "Aligned": [0.9, 0.2]}, {"Vanilla": 0.0, "Aligned": 0.755}),
    "attacks": lambda: charts.attack_breakdown(METHODS, {"L₂": [{"apgd-ce": 0.3, "square": 0.2}] * len(METHODS)}),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWINGS)
def test_bytes_repeat_and_settings_stay(name):
    global RNG
    before = dict(matplotlib.rcParams)
    drawn = []
    for _ in range(2):
        RNG = np.random.default_rng(0)
        drawn.append(png_bytes(DRAWINGS[name]()))
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before


def test_scale_of_a_gradient_is_not_seen():
    image, g = RNG.random((1, 8, 8)), RNG.normal(size=(1, 3, 1, 8, 8))
    drawn = [png_bytes(figures.targets_by_source(image, "1", s * g, ["OI"], NAMES)) for s in (1.0, 2.0**20)]
    assert drawn[0] == drawn[1]


def test_zero_is_in_the_middle_of_the_colours():
    """A gradient of only positive values must not use the half that means negative ones."""
    assert np.array_equal(figures._centred(np.full((1, 2, 2), 3.0)), np.ones((2, 2)))
    assert np.array_equal(figures._centred(np.zeros((3, 2, 2))), np.full((2, 2, 3), 0.5))


def test_saved_png_is_whole(tmp_path):
    figure = targeted(1)
    save(figure, tmp_path / "folder" / "figure.png")
    assert (tmp_path / "folder" / "figure.png").read_bytes() == png_bytes(figure)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["figure.png"]


def test_labels_of_points_do_not_hide_each_other():
    close = [(0.5 + 0.01 * i, 0.49, 0.56) for i in range(len(METHODS))]
    figure = scatters.robustness_against_alignment(METHODS, close, {"L₂": close})
    png_bytes(figure)
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert len(boxes) == len(METHODS)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_every_curve_of_many_threats_is_drawn():
    names = ["clean", *(f"{norm}, ε = {eps}" for norm in ("L₂", "L∞") for eps in (1, 2))]
    figure = charts.lambda_curves([0, 0.5], dict.fromkeys(names, INTERVALS[:2]), INTERVALS[:2])
    assert figure.axes[0].get_legend_handles_labels()[1] == names


def test_each_family_has_its_own_marker_and_line():
    assert FAMILY_MARKERS.keys() == charts.LINE_STYLES.keys() == set(get_args(Family))
    assert len(set(FAMILY_MARKERS.values())) == len(FAMILY_MARKERS)


def test_a_colour_is_the_labels():
    renamed = METHODS[3].model_copy(update={"name": "another"})
    assert method_color(renamed) == method_color(METHODS[3]) == PALETTE["blue"]
    assert method_color(METHODS[4]) == MUTED


def test_names():
    assert [eps_text(e) for e in (0.5, 8 / 255, 0.175, 1.0, 15.0)] == ["0.5", "8/255", "0.175", "1", "15"]
    assert percent(0.5539) == "55.4%"
    assert [attack_name(a) for a in ("l0_fmn", "gaussian_blur", "new")] == ["L₀-FMN", "Gaussian blur", "new"]
    threats = {"a": ("l2", 0.5), "b": ("l2", 1.0), "c": ("linf", 8 / 255)}
    assert threat_names(threats) == {"a": "L₂ ε = 0.5", "b": "L₂ ε = 1", "c": "L∞"}


def test_further_attacks_of_one_network_are_in_the_legend():
    standard, more = {"apgd-ce": 0.3, "square": 0.2}, {"apgd-ce": 0.9, "square": 0.8, "substitute": 0.1}
    rest = [standard] * (len(METHODS) - 1)
    figure = charts.attack_breakdown(METHODS, {"L₂": [standard, *rest], "L∞": [more, *rest]})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["APGD-CE", "+ Square", "+ Substitute"]


def texts_of(ax):
    return [text.get_text() for text in ax.texts]


def test_what_a_check_spoils_is_marked_in_every_chart():
    doubts = {"L₂": [False, True, *[False] * (len(METHODS) - 2)]}
    scatter = scatters.robustness_against_alignment(METHODS, INTERVALS, {"L₂": INTERVALS}, doubts)
    cost = scatters.robustness_over_cost(METHODS, range(1, 7), {"L₂": INTERVALS}, {"L₂": [0]}, doubts)
    for figure in (scatter, cost):
        assert "OI ✗" in texts_of(figure.axes[0])
        hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
        assert len(hollow) == 1
    parts = charts.attack_breakdown(METHODS, {"L₂": [{"square": 0.2}] * len(METHODS)}, doubts)
    assert [text.get_text() for text in parts.axes[0].get_yticklabels()][:3] == ["Vanilla", "OI ✗", "NN (own class)"]
    curves = charts.lambda_curves(
        [0, 0.5], {"clean": INTERVALS[:2], "L₂": INTERVALS[:2]}, INTERVALS[:2], {"L₂": [False, True]}
    )
    crosses = [line for line in curves.axes[0].lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[0.5]]


def test_the_axis_of_cost_has_plain_numbers():
    figure = scatters.robustness_over_cost(METHODS, [1, 2, 2, 3, 4, 5.7], {"L₂": INTERVALS}, {"L₂": [0, 5]})
    png_bytes(figure)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert {"1", "2", "5"} <= set(labels)
    assert not any("$" in label for label in labels)


def test_curves_of_one_family_and_colour_are_told_apart():
    margins = [artifacts.METHODS[f"aligned_margin_{norm}"] for norm in ("l2", "linf")]
    figure = charts.training_curves({m: {"a": [0.1, 0.2]} for m in margins}, {"a": "a"})
    lines = figure.axes[0].lines
    assert lines[0].get_color() == lines[1].get_color()
    assert lines[0]._dash_pattern != lines[1]._dash_pattern


def test_legends_fit():
    assert [legend_columns(["a" * n]) for n in (3, 20, 60)] == [4, 2, 1]
    assert short_label("aligned margin L₂ + NN (own class)") == "AM L₂ + NN own"
    assert short_label("SBG") == "SBG"
