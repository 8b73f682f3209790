"""What all figures share: fonts, colours that the colour-blind tell apart, and PNGs that repeat to the byte."""

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pag.base.files import written_whole
from pag.base.vocabulary import Family, Method

__all__ = [
    "DARK",
    "FAMILY_DASHES",
    "FAMILY_SHAPES",
    "INK",
    "LIGHT",
    "MUTED",
    "marked",
    "method_color",
    "paint",
    "png_bytes",
    "save",
    "shades",
    "styled",
]

P = ParamSpec("P")
DPI = 200
INK, MUTED = "#1a1a1a", "#5c5c5c"
LIGHT = {  # after Okabe and Ito (2008), from teal on Tol's muted scheme; all at least 3:1 against their background
    "ink": INK, "muted": MUTED, "paper": "#ffffff", "line": "#d9d9d9",
    "black": "#1a1a1a", "orange": "#b87300", "sky": "#2f94cf", "green": "#008a66", "blue": "#0060a8", "vermilion": "#d04f00",
    "purple": "#bb5f95", "olive": "#7c7c1e", "teal": "#117777", "wine": "#882255", "indigo": "#332288", "sand": "#8f7f00",
    "brown": "#6b3e12",
    "shade-1": "#5596d0", "shade-2": "#4284c0", "shade-3": "#3372ae", "shade-4": "#26619b", "shade-5": "#1a5088",
    "shade-6": "#0f3f74",
}  # fmt: skip
DARK = {
    "ink": "#e8e8e8", "muted": "#a8a8a8", "paper": "#15181c", "line": "#3a4048",
    "black": "#e8e8e8", "orange": "#efb035", "sky": "#7cc8f5", "green": "#2fc29a", "blue": "#4b9fe6", "vermilion": "#ff8447",
    "purple": "#e59cc8", "olive": "#b8b84e", "teal": "#41b3b3", "wine": "#d8689b", "indigo": "#9d90f2", "sand": "#d8c45c",
    "brown": "#c49a6c",
    "shade-1": "#3b6c98", "shade-2": "#467eb0", "shade-3": "#5290c4", "shade-4": "#63a3d8", "shade-5": "#78b4e6",
    "shade-6": "#8fc5f2",
}  # fmt: skip
SHADES = 6
_OF_PAGE = ("ink", "muted", "paper", "line")
_CROSS = "M-1,-0.6L-0.6,-1L0,-0.4L0.6,-1L1,-0.6L0.4,0L1,0.6L0.6,1L0,0.4L-0.6,1L-1,0.6L-0.4,0Z"
_HEXAGON = "M0,-1.05L0.91,-0.52L0.91,0.52L0,1.05L-0.91,0.52L-0.91,-0.52Z"
_PENTAGON = "M0,-1.1L1.05,-0.34L0.65,0.89L-0.65,0.89L-1.05,-0.34Z"
_STAR = "M0,-1.2L0.3,-0.4L1.14,-0.37L0.48,0.15L0.7,0.97L0,0.5L-0.7,0.97L-0.48,0.15L-1.14,-0.37L-0.3,-0.4Z"
FAMILY_SHAPES: dict[Family, str] = {  # Vega's, or paths
    "vanilla": _CROSS,
    "heuristic": "circle",
    "own-class heuristic": "square",
    "score-based": "diamond",
    "imported": "cross",
    "kernel": _HEXAGON,
    "teacher": _PENTAGON,
    "aligned-margin": "triangle-down",
    "gradient-norm": "triangle-left",
    "adversarial": "triangle-up",
    "unknown": _STAR,
}
FAMILY_DASHES: dict[Family, tuple[float, ...]] = {
    "vanilla": (2, 2),
    "heuristic": (),
    "own-class heuristic": (8, 2, 2, 2),
    "score-based": (),
    "imported": (7, 1.5),
    "kernel": (4, 1.5, 1.5, 1.5, 1.5, 1.5),
    "teacher": (1.5, 1.5),
    "aligned-margin": (9, 3),
    "gradient-norm": (6, 3, 1.5, 3, 1.5, 3),
    "adversarial": (5, 2.5),
    "unknown": (1.5, 4),
}
_LABEL_COLORS = {
    "Vanilla": "black",
    "OI": "orange",
    "CM": "sky",
    "NN": "green",
    "NN (own class)": "olive",
    "SBG": "blue",
    "AT L₂": "purple",
    "AT L∞": "vermilion",
}
_FAMILY_COLORS: dict[Family, str] = {
    "kernel": "teal",
    "teacher": "indigo",
    "aligned-margin": "wine",
    "gradient-norm": "sand",
    "adversarial": "brown",
}
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "figure.facecolor": "white",
    "text.parse_math": False,  # names of classes and methods are text, also with a $ in them
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draws with the style of this module, and leaves matplotlib's own settings as they were."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(_STYLE):
            return draw(*args, **kwargs)

    return wrapper


def paint(name: str) -> str:
    """A colour by its name, as a variable of the page with the light scheme's to fall back upon."""
    prefix = "" if name in _OF_PAGE else "c-"
    return f"var(--{prefix}{name}, {LIGHT[name]})"


def method_color(method: Method) -> str:
    """The name of a method's colour, the same in every figure: by its label, else its family's; muted where neither has one."""
    return _LABEL_COLORS.get(method.label) or _FAMILY_COLORS.get(method.family, "muted")


def shades(count: int) -> list[str]:
    """The names of so many colours of one hue, from the faintest to the strongest."""
    return (
        [f"shade-{1 + round((SHADES - 1) * i / max(count - 1, 1))}" for i in range(count)]
        if count > 1
        else [f"shade-{SHADES - 2}"]
    )


def marked(text: str, doubt: bool) -> str:
    """A label or a number, with ✗ where a failed check spoils what it stands for."""
    return f"{text} ✗" if doubt else text


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG, without the fields that change with the program's version."""
    FigureCanvasAgg(figure)
    stream = BytesIO()
    with rc_context(_STYLE):
        figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as PNG, whole; the same figure gives the same bytes."""
    content = png_bytes(figure)
    with written_whole(path) as partial:
        partial.write_bytes(content)
