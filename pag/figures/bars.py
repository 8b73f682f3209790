"""The chart of AutoAttack's parts: the accuracy that each of them left."""

from collections.abc import Mapping, Sequence

from pag.base.vocabulary import Method
from pag.figures.axes import fractions
from pag.figures.layers import described
from pag.figures.names import percent, short_label
from pag.figures.style import marked, paint, shades
from pag.figures.vega import WIDTH, Chart, Spec, stacked

__all__ = ["attack_breakdown"]

ROW = 19
LETTER, LONGEST = 6.2, 150.0  # pixels: of a letter, and of the names of rows at most
Left = Sequence[
    Mapping[str, float]
]  # of each method, the accuracy in [0, 1] after each attack, in the order of the run


def attack_breakdown(
    methods: Mapping[str, Method], attacks: Mapping[str, Left], doubtful: Mapping[str, Sequence[bool]] | None = None
) -> Chart:
    """Accuracy that is left after each attack of AutoAttack, and of further ones where there were such: a row for each method.

    The bar of an attack lies over those of the attacks before it; so what of these is still to be seen is what it took.

    Args:
        methods: by their names in tables, a row each.
        attacks: for each panel, by its title, what the attacks left of each method.
        doubtful: by the titles of panels, whether a check spoils each method's numbers; it is marked ✗.
    """
    names = list(dict.fromkeys(name for values in attacks.values() for of_method in values for name in of_method))
    labels = {name: _attack_label(name, i) for i, name in enumerate(names)}
    doubts = {title: (doubtful or {}).get(title, [False] * len(methods)) for title in attacks}
    panels = [
        _panel(title, methods, values, doubts[title], labels, last=i + 1 == len(attacks))
        for i, (title, values) in enumerate(attacks.items())
    ]
    columns = [f"{title}: {label}" for title in attacks for label in labels.values()]
    rows = [
        (method, *(_text(of[i].get(name), doubts[title][i]) for title, of in attacks.items() for name in names))
        for i, method in enumerate(methods)
    ]
    return Chart(stacked(panels), ("Method", *columns), tuple(rows))


def _panel(
    title: str,
    methods: Mapping[str, Method],
    values: Left,
    doubts: Sequence[bool],
    labels: Mapping[str, str],
    *,
    last: bool,
) -> Spec:
    rows = [marked(short_label(method.label), doubt) for method, doubt in zip(methods.values(), doubts, strict=True)]
    bars = [
        {
            "row": row,
            "x": of[name],
            "attack": label,
            "text": f"{method}: {_text(of[name], doubt)} left after {label}, {title}",
        }
        for name, label in labels.items()
        for row, method, of, doubt in zip(rows, methods, values, doubts, strict=True)
        if name in of
    ]
    colors = {"domain": list(labels.values()), "range": [paint(name) for name in shades(len(labels))]}
    x = fractions((left for of in values for left in of.values()), "accuracy left").encoding("x", {"grid": True})
    wide = min(LETTER * max(map(len, rows), default=0) + 6, LONGEST)
    beside = {"minExtent": wide, "maxExtent": wide, "labelLimit": wide, "ticks": False, "domain": False}
    bands = {"domain": rows, "paddingInner": 0.28, "paddingOuter": 0.2}
    return {
        "title": {"text": title, "frame": "bounds"}, "width": WIDTH - wide - 24, "height": ROW * len(rows),
        "data": {"values": bars},
        "mark": {"type": "bar", "opacity": 1},
        "encoding": {
            "x": {**x, "stack": None},
            "y": {"field": "row", "type": "nominal", "title": None, "scale": bands, "axis": beside},
            "fill": {"field": "attack", "type": "nominal", "scale": colors, "legend": _legend() if last else None},
            "description": described,
        },
    }  # fmt: skip


def _legend() -> Spec:
    return {"orient": "bottom", "columns": 2, "title": None, "symbolType": "square", "symbolStrokeColor": "transparent"}


def _attack_label(attack: str, position: int) -> str:
    name = attack.upper() if attack.startswith(("apgd", "fab")) else attack.capitalize().replace("Pgd", "PGD")
    return name if position == 0 else f"+ {name}"


def _text(accuracy: float | None, doubt: bool) -> str:
    return "–" if accuracy is None else marked(percent(accuracy), doubt)
