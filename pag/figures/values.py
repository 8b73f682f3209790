"""Numbers as charts take and tell them: with the ends of their error bars, as fractions or as cosines."""

from dataclasses import dataclass

from pag.figures.names import percent

__all__ = ["Value", "accuracy_text", "cosine_text"]


@dataclass(frozen=True)
class Value:
    """A number with the ends of its error bar.

    Attributes:
        value, low, high: of the bar; all three are the same where there is none.
        sd: whether the bar is a standard deviation between runs to either side; else it is a confidence interval.
    """

    value: float
    low: float
    high: float
    sd: bool = False


def accuracy_text(value: Value) -> str:
    """`34.2% [26.5, 43.3]`, `34.4% ± 1.0`; without a bar `34.2%`."""
    return percent(value.value) + _bar(value, 100, 1)


def cosine_text(value: Value) -> str:
    """`0.910 [0.908, 0.913]`, `0.910 ± 0.001`."""
    return f"{value.value:.3f}" + _bar(value, 1, 3)


def _bar(value: Value, factor: float, digits: int) -> str:
    if value.low == value.high:
        return ""
    if value.sd:
        return f" ± {factor * (value.high - value.value):.{digits}f}"
    return f" [{factor * value.low:.{digits}f}, {factor * value.high:.{digits}f}]"
