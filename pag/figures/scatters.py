"""Charts with a point for each method: robust accuracy by alignment (section 5.4), and by what training cost."""

from collections.abc import Mapping, Sequence

from pag.base.vocabulary import Method
from pag.figures.axes import Axis, fractions, numbers, panel, ratios
from pag.figures.layers import Point, Symbol, legend, lines, names_at, points
from pag.figures.names import short_label, shortened
from pag.figures.style import FAMILY_SHAPES, marked, method_color
from pag.figures.values import Value, accuracy_text, cosine_text
from pag.figures.vega import Chart, Spec, stacked

__all__ = ["robustness_against_alignment", "robustness_over_cost"]

HEIGHT = 236
LETTERS = 26  # of a name at a point, at most
Doubts = Mapping[str, Sequence[bool]]  # by the titles of panels, for each method


def robustness_against_alignment(
    methods: Mapping[str, Method],
    alignment: Sequence[Value],
    robust: Mapping[str, Sequence[Value]],
    doubtful: Doubts | None = None,
) -> Chart:
    """Robust accuracy against alignment, a point for each method and a panel for each threat (section 5.4).

    Args:
        methods: by their names in tables; the family is the shape.
        alignment: mean cosine of each method.
        robust: for each panel, by its title, the robust accuracy of each method in [0, 1].
        doubtful: by the same titles, whether a check spoils that number; such a point is hollow and marked ✗.
    """
    x = numbers([a.value for a in alignment], "alignment: mean cosine with score-based gradients", margin=0.1)
    texts = [cosine_text(value) for value in alignment]
    return _scatter(methods, (x, alignment, "Alignment", texts), robust, doubtful or {}, {})


def robustness_over_cost(
    methods: Mapping[str, Method],
    costs: Sequence[float],
    robust: Mapping[str, Sequence[Value]],
    fronts: Mapping[str, Sequence[int]],
    doubtful: Doubts | None = None,
    unit: str = "vanilla = 1",
) -> Chart:
    """Robust accuracy over the cost of training, a point for each method and a panel for each threat.

    Args:
        methods: by their names in tables; the family is the shape.
        costs: of each method, positive; the axis is logarithmic.
        robust: for each panel, by its title, the robust accuracy of each method in [0, 1].
        fronts: by the same titles, the indices of the methods on the Pareto front, by cost; a line of steps joins them.
        doubtful: as of `robustness_against_alignment`.
        unit: of the costs.
    """
    x, values = ratios(costs, f"cost of training, {unit}"), [Value(cost, cost, cost) for cost in costs]
    return _scatter(methods, (x, values, "Cost", [f"{cost:.3g}" for cost in costs]), robust, doubtful or {}, fronts)


def _scatter(
    methods: Mapping[str, Method],
    across: tuple[Axis, Sequence[Value], str, Sequence[str]],
    robust: Mapping[str, Sequence[Value]],
    doubtful: Doubts,
    fronts: Mapping[str, Sequence[int]],
) -> Chart:
    """A panel for each threat; `across` is the x axis, each method's value on it, what that is called, and its text."""
    x, values, of, texts = across
    panels: list[Spec] = []
    table: list[list[str]] = []
    for title, accuracies in robust.items():
        doubts = doubtful.get(title, [False] * len(methods))
        table.append([marked(accuracy_text(y), doubt) for y, doubt in zip(accuracies, doubts, strict=True)])
        shown = [
            Point(at, y, _symbol(method), f"{name}: {title} {told}, {of.lower()} {text}", doubt)
            for (name, method), at, y, text, told, doubt in zip(
                methods.items(), values, accuracies, texts, table[-1], doubts, strict=True
            )
        ]
        names = [
            marked(shortened(short_label(m.label), LETTERS), doubt)
            for m, doubt in zip(methods.values(), doubts, strict=True)
        ]
        front = [(values[i].value, accuracies[i].value) for i in fronts.get(title, ())]
        panels.append(_panel(title, x, shown, names, front, last=len(panels) + 1 == len(robust)))
    return Chart(stacked(panels), ("Method", of, *robust), tuple(zip(methods, texts, *table, strict=True)))


def _panel(
    title: str,
    x: Axis,
    shown: Sequence[Point],
    names: Sequence[str],
    front: Sequence[tuple[float, float]],
    *,
    last: bool,
) -> Spec:
    y = fractions(point.y.high for point in shown)
    steps = lines({Symbol("front", "muted"): front}, interpolate="step-after", strokeWidth=1) if front else []
    families = [Symbol(p.symbol.name, "muted", p.symbol.shape) for p in shown]
    keys = [legend(list(dict.fromkeys(families)))] if last else []
    layers = [*steps, *points(shown), *names_at(shown, names, x, y, HEIGHT, front), *keys]
    return panel(f"Robust accuracy, {title}", x, y, HEIGHT, layers)


def _symbol(method: Method) -> Symbol:
    return Symbol(method.family, method_color(method), FAMILY_SHAPES[method.family])
