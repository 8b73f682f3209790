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

__all__ = ["FAMILY_MARKERS", "INK", "MUTED", "PALETTE", "marked", "method_color", "png_bytes", "save", "styled"]

P = ParamSpec("P")
DPI = 200
INK, MUTED = "#1a1a1a", "#666666"
PALETTE = {  # Okabe and Ito (2008); from teal on Tol's muted scheme
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "olive": "#8A8A2B",
    "black": "#1a1a1a",
    "teal": "#117777",
    "wine": "#882255",
    "indigo": "#332288",
    "sand": "#999933",
    "rose": "#CC6677",
}
FAMILY_MARKERS: dict[Family, str] = {
    "vanilla": "X",
    "heuristic": "o",
    "own-class heuristic": "s",
    "score-based": "D",
    "imported": "P",
    "kernel": "h",
    "teacher": "p",
    "aligned-margin": "v",
    "gradient-norm": "<",
    "adversarial": "^",
    "unknown": "*",
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
    "adversarial": "rose",
}
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.labelsize": 10.0,
    "axes.titlesize": 10.5,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "text.color": INK,
    "axes.labelcolor": INK,
    "legend.frameon": False,
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


def method_color(method: Method) -> str:
    """A method's colour, the same in every figure: by its label, else its family's; muted where neither has one."""
    name = _LABEL_COLORS.get(method.label) or _FAMILY_COLORS.get(method.family)
    return PALETTE[name] if name else MUTED


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
