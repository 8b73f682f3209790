"""Charts with lines: accuracy over ε and over λ (figure 5), and the curves of training."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from pag.base.vocabulary import Method
from pag.figures.axes import Axis, fractions, numbers, panel
from pag.figures.layers import Point, Symbol, legend, lines, points
from pag.figures.names import eps_text, percent, short_label
from pag.figures.style import FAMILY_DASHES, FAMILY_SHAPES, marked, method_color
from pag.figures.values import Value, accuracy_text, cosine_text
from pag.figures.vega import Chart, Spec, stacked

__all__ = ["SERIES", "lambda_curves", "loss_curve", "security_curves", "training_curves"]

SERIES = (
    ("blue", "circle"), ("vermilion", "square"), ("green", "diamond"), ("orange", "triangle-up"), ("purple", "cross"),
    ("sky", "triangle-down"), ("olive", "triangle-left"),
)  # fmt: skip
SMALL = 16  # of a point on a line
TOLD = 4  # epochs whose numbers are told of a curve
Curve = Sequence[tuple[float, Value]]  # ε ascending, with the accuracy


def lambda_curves(
    lambdas: Sequence[float],
    accuracies: Mapping[str, Sequence[Value]],
    alignment: Sequence[Value],
    doubtful: Mapping[str, Sequence[bool]] | None = None,
) -> Chart:
    """Accuracy and alignment against λ (the numbers of figure 5).

    Args:
        lambdas: ascending; 0 is vanilla.
        accuracies: for each curve, by its name, one estimate in [0, 1] for each λ.
        alignment: mean cosine for each λ, in [−1, 1].
        doubtful: by the names of curves, whether a check spoils the number of each λ; such a point is hollow.
    """
    x = numbers(lambdas, "λ, the weight of the alignment term (eq. 4)")
    symbols = [Symbol(name, *SERIES[i % len(SERIES)]) for i, name in enumerate(accuracies)]
    doubts = [(doubtful or {}).get(name, [False] * len(lambdas)) for name in accuracies]
    texts = [
        [marked(accuracy_text(value), doubt) for value, doubt in zip(values, of, strict=True)]
        for values, of in zip(accuracies.values(), doubts, strict=True)
    ]
    upper = [
        Point(_at(at), value, symbol, f"{symbol.name}: {text} at λ = {at:g}", doubt)
        for symbol, values, told, of in zip(symbols, accuracies.values(), texts, doubts, strict=True)
        for at, value, text, doubt in zip(lambdas, values, told, of, strict=True)
    ]
    one = Symbol("alignment", "black", "diamond")
    lower = [
        Point(_at(at), value, one, f"alignment: {cosine_text(value)} at λ = {at:g}")
        for at, value in zip(lambdas, alignment, strict=True)
    ]
    ends = [end for value in alignment for end in (value.low, value.high)]
    panels = [
        panel("Accuracy", x, fractions((), top=1.0), 170, [*_joined(upper), legend(symbols, columns=1, orient="top")]),
        panel("Alignment: mean cosine", x, numbers(ends), 110, _joined(lower)),
    ]
    rows = zip((f"λ = {at:g}" for at in lambdas), *texts, map(cosine_text, alignment), strict=True)
    return Chart(stacked(panels), ("λ", *accuracies, "Alignment"), tuple(rows))


def _joined(shown: Sequence[Point]) -> list[Spec]:
    """Points with their error bars, and a line through those of a symbol."""
    symbols = dict.fromkeys(point.symbol for point in shown)
    series = {s: [(p.x.value, p.y.value) for p in shown if p.symbol == s] for s in symbols}
    return [*lines(series), *points(shown)]


def security_curves(
    methods: Mapping[str, Method],
    curves: Mapping[str, Mapping[str, Curve]],
    marks: Mapping[str, Mapping[str, Curve]],
    doubtful: Mapping[str, Collection[str]] | None = None,
    suite: str = "AutoAttack",
) -> Chart:
    """Robust accuracy over ε: a line for each method under PGD, an upper bound, and points where a stronger attack was run.

    Args:
        methods: by their names in tables.
        curves: for each panel, by its title, and each method, by its name: the accuracy in [0, 1] at each ε.
        marks: by the same titles, the accuracies under the stronger attack, at the ε where it was run.
        doubtful: by the same titles, the names of those whose accuracy under that attack a check spoils; their points are hollow.
        suite: what that attack is called.
    """
    symbols, spoilt = _symbols(methods), doubtful or {}
    panels = [
        _security_panel(
            title, of_methods, marks.get(title, {}), spoilt.get(title, ()), symbols, suite, last=i + 1 == len(curves)
        )
        for i, (title, of_methods) in enumerate(curves.items())
    ]
    of = [
        (f"{title}, {attack}", by, doubts)
        for title in curves
        for attack, by, doubts in (("PGD", curves[title], ()), (suite, marks.get(title, {}), spoilt.get(title, ())))
    ]
    asked = [
        (*of_attack, eps)
        for of_attack in of
        for eps in sorted({e for curve in of_attack[1].values() for e, _ in curve})
    ]
    rows = tuple(
        (name, *(_accuracy_at(by.get(name, ()), eps, name in doubts) for _, by, doubts, eps in asked))
        for name in methods
    )
    return Chart(stacked(panels), ("Method", *(f"{head}, ε = {eps_text(eps)}" for head, _, _, eps in asked)), rows)


def _accuracy_at(curve: Curve, eps: float, doubt: bool) -> str:
    found = [value for at, value in curve if at == eps]
    return marked(accuracy_text(found[0]), doubt) if found else "–"


def _security_panel(
    title: str,
    curves: Mapping[str, Curve],
    marks: Mapping[str, Curve],
    doubtful: Collection[str],
    symbols: Mapping[str, Symbol],
    suite: str,
    *,
    last: bool,
) -> Spec:
    x = numbers((eps for curve in curves.values() for eps, _ in curve), "ε, the size of perturbations")
    series = {symbols[name]: [(eps, value.value) for eps, value in curve] for name, curve in curves.items()}
    small = [
        Point(_at(eps), _at(y.value), Symbol(name, symbols[name].color), _told(name, title, "PGD", eps, y))
        for name, curve in curves.items()
        for eps, y in curve
    ]
    large = [
        Point(_at(eps), y, symbols[name], _told(name, title, suite, eps, y, name in doubtful), name in doubtful)
        for name, curve in marks.items()
        for eps, y in curve
    ]
    keys = [legend([symbols[name] for name in curves])] if last else []
    texts = {
        symbols[name]: f"{name}: {title} {percent(curve[0][1].value)} at ε = {eps_text(curve[0][0])} to "
        f"{percent(curve[-1][1].value)} at ε = {eps_text(curve[-1][0])} under PGD"
        for name, curve in curves.items()
    }
    layers = [*lines(series, texts), *points(small, SMALL), *points(large, bars=False), *keys]
    return panel(f"Accuracy over ε, {title}", x, fractions((), top=1.0), 200, layers)


def _at(x: float) -> Value:
    return Value(x, x, x)


def _told(name: str, title: str, attack: str, eps: float, accuracy: Value, doubt: bool = False) -> str:
    return f"{name}: {title} {marked(accuracy_text(accuracy), doubt)} under {attack}, ε = {eps_text(eps)}"


def _symbols(methods: Mapping[str, Method]) -> dict[str, Symbol]:
    """The family's shape and line for each method; those of a family that share a colour get other lines."""
    symbols: dict[str, Symbol] = {}
    for name, method in methods.items():
        color, shape = method_color(method), FAMILY_SHAPES[method.family]
        alike = sum((s.color, s.shape) == (color, shape) for s in symbols.values())
        dash = (1.5 + 3 * alike, 1.5) if alike else FAMILY_DASHES[method.family]
        symbols[name] = Symbol(short_label(method.label), color, shape, dash)
    return symbols


def training_curves(
    curves: Mapping[str, Mapping[str, Sequence[float | None]]],
    methods: Mapping[str, Method],
    shown: Mapping[str, str],
    x_title: str = "epoch",
) -> Chart:
    """Curves of training, a line for each method.

    Args:
        curves: by the methods' names, by column of `curves.csv`: one value an epoch, None where the method has none.
        methods: by their names in tables.
        shown: the columns to draw, each with the title of its panel; drawn one above the other.
        x_title: of the x axis.
    """
    symbols = _symbols(methods)
    panels: list[Spec] = []
    epochs = max((len(values) for columns in curves.values() for values in columns.values()), default=1)
    x = numbers((0, epochs), margin=0.0)
    told = sorted({max(1, round(epochs * (i + 1) / TOLD)) for i in range(TOLD)})
    for column, title in shown.items():
        found = {name: columns[column] for name, columns in curves.items() if column in columns}
        texts = {symbols[name]: f"{name}: {title} {_told_at(values, told, column)}" for name, values in found.items()}
        series = {symbols[name]: list(enumerate(values, start=1)) for name, values in found.items()}
        last = len(panels) + 1 == len(shown)
        keys = [legend(list(symbols.values()), line=True)] if last else []
        at = replace(x, title=x_title) if last else x
        panels.append(panel(_capitalized(title), at, _y(column, found.values()), 112, [*lines(series, texts), *keys]))
    columns = tuple(f"{_capitalized(title)}, {x_title} {epoch}" for title in shown.values() for epoch in told)
    rows = tuple(
        (name, *(_number(of.get(column, ()), epoch, column) for column in shown for epoch in told))
        for name, of in curves.items()
    )
    return Chart(stacked(panels), ("Method", *columns), rows)


def _y(column: str, series: Iterable[Sequence[float | None]]) -> Axis:
    known = [value for values in series for value in values if value is not None]
    return fractions((), top=1.0) if "accuracy" in column else numbers(known)


def _told_at(values: Sequence[float | None], told: Sequence[int], column: str) -> str:
    """`0.412 at 5, 0.201 at 20`."""
    return ", ".join(f"{_number(values, epoch, column)} at {epoch}" for epoch in told)


def _number(values: Sequence[float | None], epoch: int, column: str) -> str:
    value = values[epoch - 1] if epoch <= len(values) else None
    return "–" if value is None else percent(value) if "accuracy" in column else f"{value:.3f}"


def _capitalized(title: str) -> str:
    return title[:1].upper() + title[1:]


def loss_curve(steps: Sequence[float], loss: Sequence[float]) -> Chart:
    """The diffusion model's loss against its training step."""
    symbol = Symbol("loss", "blue")
    told = sorted({round((len(steps) - 1) * i / 8) for i in range(9)}) if steps else []
    shown = [Point(_at(steps[i]), _at(loss[i]), symbol, f"loss: {loss[i]:.4g} at step {steps[i]:g}") for i in told]
    x, y = numbers(steps, "training step"), numbers(loss)
    drawn = panel(
        "Training loss of the diffusion model",
        x,
        y,
        150,
        [*lines({symbol: list(zip(steps, loss, strict=True))}), *points(shown, SMALL)],
    )
    return Chart(drawn, ("Step", "Loss"), tuple((f"{steps[i]:g}", f"{loss[i]:.4g}") for i in told))
