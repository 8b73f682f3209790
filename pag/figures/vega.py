"""A chart as a Vega-Lite specification, which is drawn once for all: as SVG for the page and as PNG for papers.

Colours of the page are CSS variables (`style.paint`), with the colours of the light scheme to fall back upon, which the PNG has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import vl_convert
from PIL import Image

from pag.figures.style import paint

__all__ = ["APART", "WIDTH", "Chart", "Spec", "stacked"]

Spec = dict[str, Any]
"""A specification of Vega-Lite or a part of one."""

APART: Spec = {"scale": dict.fromkeys(("shape", "fill", "stroke", "strokeDash", "color"), "independent")}
"""How layers and panels resolve their scales: each has its own, so that a legend stands where it is asked for alone."""

WIDTH = 328  # CSS pixels: on a phone of 360 letters keep their size
VEGA_LITE = "5.20"
PRINTED, DPI = 3.0, 288  # pixels of the PNG for each of the SVG, of which an inch has 96
FONT = "DejaVu Sans"
LETTERS = 10.5


_NAMESPACES = r' (?:xmlns(?::xlink)?|style|version)="[^"]*"'
_SAYS_NOTHING = (  # roles inside an image, axes and legends (which the chart's own text tells of), empty paths, what holds anyway
    r' (?:role|aria-roledescription|pointer-events)="[^"]*"',
    r' aria-label="(?:[XY]-axis |Title text |Symbol legend)[^"]*"',
    r'<path class="(?:fore|back)ground"[^>]*d="(?:M0,0h0v0h0Z)?"[^>]*/>',
    r' (?:opacity|stroke-opacity|fill-opacity)="1"',
)
_GEOMETRY = r' (?:d|transform|[xy][12]?|width|height)="[^"]*"'


@dataclass(frozen=True)
class Chart:
    """A chart, and the numbers behind it.

    Attributes:
        spec: of Vega-Lite; the description of a mark begins with what it is of, up to a colon.
        columns: heads of the table of its numbers, the first of which names the rows.
        rows: as many texts as columns in each.
    """

    spec: Spec
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def svg(self) -> str:
        """To stand in an HTML page: without names of namespaces, and without styles, which a strict policy does not allow.

        What a mark says is its attribute `data-text`: it is an image as a whole, which has one text for those who do not see it.
        """
        _register_font()
        svg = vl_convert.vegalite_to_svg(self.spec, VEGA_LITE, config=_config())
        for pattern in (_NAMESPACES, *_SAYS_NOTHING):
            svg = re.sub(pattern, "", svg)
        svg = re.sub(_GEOMETRY, _to_hundredths, svg)
        return svg.replace(" aria-label=", " data-text=").replace(" xlink:href=", " href=")

    def png(self) -> bytes:
        """In the colours of the light scheme, on white."""
        _register_font()
        config = {**_config(), "background": "#ffffff"}
        spec, printed = (_concrete(part) for part in (self.spec, config))
        drawn = vl_convert.vegalite_to_png(spec, VEGA_LITE, scale=PRINTED, config=printed)
        stream = BytesIO()
        Image.open(BytesIO(drawn)).convert("RGB").save(stream, format="PNG", optimize=True, dpi=(DPI, DPI))
        return stream.getvalue()


def _to_hundredths(attribute: re.Match[str]) -> str:
    """An attribute with its numbers to a hundredth of a pixel."""
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", attribute[0])


def stacked(panels: Sequence[Spec]) -> Spec:
    """Panels one above the other."""
    return {"vconcat": list(panels), "spacing": 16, "resolve": APART} if len(panels) > 1 else panels[0]


def _concrete(part: Any) -> Any:  # noqa: ANN401
    """The same with each variable replaced by the colour that it falls back upon."""
    if isinstance(part, str):
        return re.sub(r"var\(--[a-z0-9-]+, (#[0-9a-f]{6})\)", r"\1", part)
    if isinstance(part, dict):
        return {name: _concrete(value) for name, value in part.items()}
    return [_concrete(value) for value in part] if isinstance(part, list | tuple) else part


@cache
def _register_font() -> None:
    """Matplotlib brings a font that has all letters; so PNGs do not depend on the fonts of a machine."""
    vl_convert.register_font_directory(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf"))


def _config() -> Spec:
    ink, muted, line = paint("ink"), paint("muted"), paint("line")
    text = {
        "labelColor": ink,
        "labelFontSize": LETTERS,
        "titleColor": ink,
        "titleFontSize": LETTERS,
        "titleFontWeight": "normal",
    }
    return {
        "font": FONT,
        "background": "transparent",
        "padding": {"left": 1, "right": 4, "top": 2, "bottom": 4},
        "view": {"stroke": None},
        "axis": {
            **text, "domainColor": muted, "tickColor": muted, "tickSize": 4, "gridColor": line, "gridWidth": 0.7,
            "titlePadding": 6,
        },
        "legend": {
            **text, "labelLimit": 0, "symbolSize": 60, "columnPadding": 10, "rowPadding": 2, "offset": 8, "padding": 0,
        },
        "title": {"color": ink, "fontSize": 11.5, "fontWeight": 600, "anchor": "start", "frame": "group", "offset": 6},
        "text": {"color": ink, "fontSize": LETTERS},
    }  # fmt: skip
