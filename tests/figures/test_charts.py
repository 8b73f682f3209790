"""Laws of the charts: every method is in them, marks and table say the same, bytes repeat, colours can be seen in both schemes."""

import re
from io import BytesIO
from itertools import pairwise
from typing import get_args
from xml.etree import ElementTree

import artifacts
import numpy as np
import pytest
import vl_convert
from PIL import Image

from pag.base.vocabulary import Family
from pag.figures import toy, vega
from pag.figures.axes import fractions, numbers, ratios
from pag.figures.bars import attack_breakdown
from pag.figures.curves import lambda_curves, loss_curve, security_curves, training_curves
from pag.figures.labels import place_labels
from pag.figures.scatters import robustness_against_alignment, robustness_over_cost
from pag.figures.style import DARK, FAMILY_DASHES, FAMILY_SHAPES, LIGHT, method_color, shades
from pag.figures.values import Value, accuracy_text, cosine_text

NAMES = ("vanilla", "one_image", "nearest_neighbor_own_class", "score_based", "published", "at_l2", "aligned_margin_l2",
         "aligned_margin_linf")  # fmt: skip
METHODS = {f"{artifacts.METHODS[name].label} λ = 1": artifacts.METHODS[name] for name in NAMES}
VALUES = [Value(0.1 * i + 0.02, 0.1 * i, 0.1 * i + 0.05) for i in range(len(METHODS))]
DOUBTS = {"L₂": [i == 1 for i in range(len(METHODS))]}
PARTS = {"L₂": [{"apgd-ce": v.value + 0.05, "square": v.value} for v in VALUES]}
LEVELS = (0.0, 0.5, 1.0)
SLOPES = dict(zip(METHODS, np.linspace(0.2, 0.8, 8), strict=True))
FALLING = {
    name: [(eps, Value(0.9 - eps * slope, 0.89 - eps * slope, 0.95)) for eps in LEVELS]
    for name, slope in SLOPES.items()
}
ATTACKED = {name: [(0.5, value)] for name, value in zip(METHODS, VALUES, strict=True)}
EPOCHS = {name: {"validation_accuracy": [0.1, None, 0.9], "cosine": [0.2, 0.3, 0.4]} for name in METHODS}


def boundaries():
    rng = np.random.default_rng(0)
    x1, x2 = np.linspace(-1, 1, 5), np.linspace(-2, 2, 7)
    classes = rng.integers(0, 2, (7, 5))
    points, labels = rng.normal(size=(6, 2)), np.array([0, 1, 0, 1, 0, 1])
    return toy.toy_boundaries(points, labels, x1, x2, {"Vanilla": classes, "Aligned": 1 - classes})


CHARTS = {
    "alignment": lambda: robustness_against_alignment(METHODS, VALUES, {"L₂": VALUES, "L∞": VALUES[::-1]}, DOUBTS),
    "cost": lambda: robustness_over_cost(METHODS, [1, 2, 2, 2, 3, 5.7, 8, 9], {"L₂": VALUES}, {"L₂": [0, 3, 5]}, DOUBTS),
    "security": lambda: security_curves(METHODS, {"L₂": FALLING, "L∞": FALLING}, {"L₂": ATTACKED}, {"L₂": {"OI λ = 1"}}),
    "training": lambda: training_curves(EPOCHS, METHODS, {"validation_accuracy": "accuracy", "cosine": "cosine"}),
    "attacks": lambda: attack_breakdown(METHODS, PARTS, DOUBTS),
    "lambda": lambda: lambda_curves([0, 0.5], {"clean": VALUES[:2], "L₂": VALUES[2:4]}, VALUES[4:6], {"L₂": [False, True]}),
    "loss": lambda: loss_curve([1, 2, 3], [1.0, 0.5, 0.4]),
    "pairs": lambda: toy.toy_seeds({"Vanilla": [0.0, 0.1], "Aligned": [0.9, 0.2]}, {"Vanilla": 0.0, "Aligned": 0.755}),
    "boundaries": boundaries,
}  # fmt: skip
OF_METHODS = ("alignment", "cost", "security", "training", "attacks")


@pytest.fixture(scope="module")
def drawn():
    charts = {name: make() for name, make in CHARTS.items()}
    return {name: (chart, chart.svg()) for name, chart in charts.items()}


def said(svg):
    """What the marks say."""
    return [element.get("data-text") for element in ElementTree.fromstring(svg).iter() if element.get("data-text")]


@pytest.mark.parametrize("name", CHARTS)
def test_bytes_repeat(name, drawn):
    again = CHARTS[name]()
    assert again.svg() == drawn[name][1]
    assert again.png() == again.png()
    assert again.png().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", CHARTS)
def test_specifications_are_right_by_vega_lite(name, capfd):
    chart = CHARTS[name]()
    vl_convert.vegalite_to_vega(chart.spec, vega.VEGA_LITE, show_warnings=True)
    out, err = capfd.readouterr()
    assert out + err == ""


@pytest.mark.parametrize("name", CHARTS)
def test_an_svg_can_stand_in_a_page_under_a_strict_policy(name, drawn):
    svg = drawn[name][1]
    assert svg.startswith("<svg ")
    assert re.search(r"\sstyle=|\son\w+=|<script|https?:|xmlns|\sid=|url\(", svg) is None
    for element in ElementTree.fromstring(svg).iter():
        for colour in (element.get("fill"), element.get("stroke")):
            assert colour in (None, "none", "transparent") or colour.startswith("var(--"), colour


@pytest.mark.parametrize("name", CHARTS)
def test_widths_are_of_a_phone_and_letters_can_be_read_there(name, drawn):
    root = ElementTree.fromstring(drawn[name][1])
    left, top, width, _ = map(float, root.get("viewBox").split())
    assert (left, top) == (0, 0)
    assert width <= vega.WIDTH + 8
    sizes = {float(text.get("font-size").removesuffix("px")) for text in root.iter("text") if text.get("font-size")}
    assert min(sizes) * 328 / width >= 10


@pytest.mark.parametrize("name", CHARTS)
def test_a_png_has_no_variables_and_prints_at_nearly_300_dots_an_inch(name):
    image = Image.open(BytesIO(CHARTS[name]().png()))
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert round(image.info["dpi"][0]) == 288
    assert len(image.getcolors(2**24)) > 20


@pytest.mark.parametrize("name", OF_METHODS)
def test_every_method_is_in_marks_table_and_picture(name, drawn):
    chart, svg = drawn[name]
    assert {row[0] for row in chart.rows} == set(METHODS)
    assert {text.split(": ")[0] for text in said(svg)} == set(METHODS)
    written = [text.text for text in ElementTree.fromstring(svg).iter("text")]
    assert {"Vanilla", "AM L₂", "AM L∞"} <= set(written)


def numbers_in(text):
    return re.findall(r"-?\d+\.\d+%?", text)


@pytest.mark.parametrize("name", [name for name in CHARTS if name != "boundaries"])
def test_what_marks_say_is_in_the_table_and_the_other_way_round(name, drawn):
    chart, svg = drawn[name]
    assert all(len(row) == len(chart.columns) for row in chart.rows)
    told = {number for text in said(svg) for number in numbers_in(text)}
    tabled = {number for row in chart.rows for cell in row for number in numbers_in(cell)}
    if name == "security":  # the table alone has the intervals of the many points
        assert {n for n in told if "%" in n} <= tabled
    else:
        assert {n for n in tabled if n.endswith("%") or name != "training"} <= told | {"1", "2"}
    assert tabled
    assert told


def test_texts_of_numbers():
    assert accuracy_text(Value(0.342, 0.265, 0.433)) == "34.2% [26.5, 43.3]"
    assert accuracy_text(Value(0.344, 0.334, 0.354, sd=True)) == "34.4% ± 1.0"
    assert accuracy_text(Value(0.5, 0.5, 0.5)) == "50.0%"
    assert cosine_text(Value(0.91, 0.908, 0.913)) == "0.910 [0.908, 0.913]"
    assert cosine_text(Value(0.91, 0.909, 0.911, sd=True)) == "0.910 ± 0.001"


def test_what_a_check_spoils_is_hollow_and_marked(drawn):
    paper = f"var(--paper, {LIGHT['paper']})"
    for name in ("alignment", "cost", "security"):
        root = ElementTree.fromstring(drawn[name][1])
        hollow = [mark.get("data-text") for mark in root.iter() if mark.get("data-text") and mark.get("fill") == paper]
        assert [text.split(":")[0] for text in hollow] == ["OI λ = 1"]
        assert all("% [10.0, 15.0] ✗" in text for text in said(drawn[name][1]) if text in hollow)
        assert [row[0] for row in drawn[name][0].rows if "✗" in "".join(row)] == ["OI λ = 1"]
    for name in ("alignment", "cost"):
        assert "OI ✗" in [text.text for text in ElementTree.fromstring(drawn[name][1]).iter("text")]
    assert "OI ✗" in [text.text for text in ElementTree.fromstring(drawn["attacks"][1]).iter("text")]
    root = ElementTree.fromstring(drawn["lambda"][1])
    hollow = [mark.get("data-text") for mark in root.iter() if mark.get("data-text") and mark.get("fill") == paper]
    assert hollow == ["L₂: 32.0% [30.0, 35.0] ✗ at λ = 0.5"]


def luminance(colour):
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
              for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))]  # fmt: skip
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_told_from_the_background(scheme):
    assert LIGHT.keys() == DARK.keys()
    marks = [name for name in scheme if name not in ("paper", "line")]
    assert all(contrast(scheme[name], scheme["paper"]) >= 3 for name in marks)
    assert all(contrast(scheme[name], scheme["paper"]) >= 4.5 for name in ("ink", "muted"))
    shown = [luminance(scheme[name]) for name in shades(6)]
    assert len({np.sign(b - a) for a, b in pairwise(shown)}) == 1


def test_each_family_has_a_shape_and_a_line_of_its_own():
    assert FAMILY_SHAPES.keys() == FAMILY_DASHES.keys() == set(get_args(Family))
    assert len(set(FAMILY_SHAPES.values())) == len(FAMILY_SHAPES)


def test_a_colour_is_the_labels():
    method = artifacts.METHODS["score_based"]
    assert method_color(method.model_copy(update={"name": "another"})) == method_color(method) == "blue"
    assert method_color(artifacts.METHODS["published"]) == "muted"


def test_curves_of_one_family_and_colour_are_told_apart(drawn):
    root = ElementTree.fromstring(drawn["training"][1])
    dashes = {e.get("data-text").split(":")[0]: e.get("stroke-dasharray") for e in root.iter() if e.get("data-text")}
    assert dashes["AM L₂ λ = 1"] != dashes["AM L∞ λ = 1"]


def test_labels_of_points_do_not_hide_each_other():
    points = [(140 + 3 * i, 100) for i in range(8)]
    labels = place_labels(["a method"] * 8, points, 280, 200)
    boxes = [(label.x, label.y - 5, label.x + label.width, label.y + 5) for label in labels]
    assert all(box[0] >= 0 and box[2] <= 280 and box[1] >= 0 and box[3] <= 200 for box in boxes)
    for i, a in enumerate(boxes):
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[:i])


@pytest.mark.parametrize(
    ("make", "values"),
    [
        *((fractions, values) for values in ([1.0], [0.02, 0.5], [0.0], [0.3, 0.3])),
        *(
            (make, values)
            for make in (numbers, ratios)
            for values in ([1.0], [0.02, 0.5], [1.0, 5.7], [3.0, 3.0], [0.001, 900.0])
        ),
    ],
)
def test_axes_hold_their_values_and_a_few_ticks(make, values):
    axis = make(values)
    assert axis.low <= min(values) <= max(values) <= axis.high
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    assert 1 <= len(axis.ticks) <= 25
    for value in values:
        assert 0 <= axis.place(value) <= 1
        assert axis.value(axis.place(value)) == pytest.approx(value)


LONG = "aligned margin L₂, no alignment + NN (own class)"


@pytest.mark.parametrize("name", OF_METHODS)
def test_long_names_make_no_chart_wider(name):
    methods = {f"{i} {LONG}": m.model_copy(update={"label": f"{i} {LONG}"}) for i, m in enumerate(METHODS.values())}
    curves = dict(zip(methods, EPOCHS.values(), strict=True))
    falling = dict(zip(methods, FALLING.values(), strict=True))
    charts = {
        "alignment": lambda: robustness_against_alignment(methods, VALUES, {"L₂": VALUES}),
        "cost": lambda: robustness_over_cost(methods, range(1, 9), {"L₂": VALUES}, {"L₂": [0]}),
        "security": lambda: security_curves(methods, {"L₂": falling}, {}),
        "training": lambda: training_curves(curves, methods, {"cosine": "cosine"}),
        "attacks": lambda: attack_breakdown(methods, PARTS),
    }
    width = float(ElementTree.fromstring(charts[name]().svg()).get("viewBox").split()[2])
    assert width <= vega.WIDTH + 8


def test_names_are_text_whatever_is_in_them():
    nasty = "<b>\"$\\frac{'&"
    method = artifacts.METHODS["vanilla"].model_copy(update={"label": nasty})
    chart = robustness_against_alignment({nasty: method}, VALUES[:1], {"L₂": VALUES[:1]})
    svg = chart.svg()
    assert any(text.startswith(nasty) for text in said(svg))
    assert nasty in [text.text for text in ElementTree.fromstring(svg).iter("text")]
    assert "<b>" not in svg


def test_further_attacks_of_one_network_are_in_the_legend():
    standard, more = {"apgd-ce": 0.3, "square": 0.2}, {"apgd-ce": 0.9, "square": 0.8, "substitute": 0.1}
    rest = [standard] * (len(METHODS) - 1)
    chart = attack_breakdown(METHODS, {"L₂": [standard, *rest], "L∞": [more, *rest]})
    written = [text.text for text in ElementTree.fromstring(chart.svg()).iter("text")]
    assert {"APGD-CE", "+ Square", "+ Substitute"} <= set(written)
    assert chart.rows[0][1:] == ("30.0%", "20.0%", "–", "90.0%", "80.0%", "10.0%")


def test_the_axis_of_cost_has_plain_numbers(drawn):
    written = [text.text for text in ElementTree.fromstring(drawn["cost"][1]).iter("text")]
    assert {"1", "2", "5"} <= set(written)
