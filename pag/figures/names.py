"""How methods, norms and numbers are called in figures and tables, in the paper's words."""

from collections.abc import Mapping
from typing import Literal

__all__ = ["Family", "attack_name", "eps_text", "family", "method_name", "norm_name", "percent", "threat_names"]

Family = Literal["vanilla", "heuristic", "own-class heuristic", "score-based", "adversarial"]

_METHODS = {
    "vanilla": "Vanilla",
    "one_image": "OI",
    "class_mean": "CM",
    "nearest_neighbor": "NN",
    "score_based": "SBG",
    "at_l2": "AT L₂",
    "at_linf": "AT L∞",
    "trades": "TRADES",
    "published": "published SBG",
    "ramped": "ramped λ",
    "frozen": "frozen stats",
    "batch_statistics": "batch stats",
}
_OWN_CLASS = "_own_class"
_NORMS = {"l0": "L₀", "l1": "L₁", "l2": "L₂", "linf": "L∞"}
_ATTACKS = {
    "salt_and_pepper_noise": "Salt and pepper noise",
    "binary_search_contrast_reduction": "Contrast reduction",
    "gaussian_blur": "Gaussian blur",
    "linear_search_blended_uniform_noise": "Blended uniform noise",
    "l0_fmn": "L₀-FMN",
    "l1_fmn": "L₁-FMN",
    "ead": "EAD",
}
_ADVERSARIAL = ("at_", "trades")


def method_name(method: str) -> str:
    """`score_based` → `SBG`; methods joined by `+` one by one, a name that is not known as it stands."""
    return " + ".join(_part_name(part) for part in method.split("+"))


def _part_name(part: str) -> str:
    source = part.removesuffix(_OWN_CLASS)
    if source == part or source not in _METHODS:
        return _METHODS.get(part, part)
    return f"{_METHODS[source]} (own class)"


def norm_name(norm: str) -> str:
    """`l2` → `L₂`."""
    return _NORMS.get(norm, norm)


def threat_names(threats: Mapping[str, tuple[str, float]]) -> dict[str, str]:
    """What threats, `(norm, ε)` by name, are called: `L₂`, or where several share the norm, `L₂ ε = 0.5`."""
    norms = [norm for norm, _ in threats.values()]
    return {
        name: norm_name(norm) if norms.count(norm) == 1 else f"{norm_name(norm)} ε = {eps_text(eps)}"
        for name, (norm, eps) in threats.items()
    }


def attack_name(attack: str) -> str:
    """`l0_fmn` → `L₀-FMN`, an attack of Foolbox; a name that is not known as it stands."""
    return _ATTACKS.get(attack, attack)


def family(method: str) -> Family:
    """The kind of training that a method belongs to; with adversarial examples it is adversarial, whatever joins it."""
    source = method.split("+")[
        -1
    ]  # `frozen+score_based`: what comes before says how, the last part what is aligned with
    if source == "vanilla":
        return "vanilla"
    if method.startswith(_ADVERSARIAL):
        return "adversarial"
    if source.startswith("score_based"):
        return "score-based"
    return "own-class heuristic" if source.endswith(_OWN_CLASS) else "heuristic"


def eps_text(eps: float) -> str:
    """ε in pixels of [0, 1]: as a short decimal where it is one, else in 255ths where it is such: `0.5`, `8/255`."""
    short, levels = f"{eps:g}", eps * 255
    if float(short) != eps and abs(levels - round(levels)) < 1e-6:
        return f"{round(levels)}/255"
    return short


def percent(fraction: float) -> str:
    """`0.554` → `55.4%`."""
    return f"{100 * fraction:.1f}%"
