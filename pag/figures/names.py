"""What figures and tables call norms, threats, attacks and numbers, in the paper's words."""

from collections.abc import Mapping

__all__ = [
    "SHORT",
    "attack_name",
    "eps_text",
    "norm_name",
    "percent",
    "points",
    "short_label",
    "shortened",
    "threat_names",
]

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

SHORT = {"aligned margin": "AM", "gradient norm": "GN", "(own class)": "own"}


def short_label(label: str) -> str:
    """What charts with a name at each point call a method: `aligned margin L₂ + NN (own class)` → `AM L₂ + NN own`."""
    for words, short in SHORT.items():
        label = label.replace(words, short)
    return label


def shortened(text: str, letters: int) -> str:
    """The beginning of a text that is longer than so many letters."""
    return text if len(text) <= letters else f"{text[: letters - 1].rstrip()}…"


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


def eps_text(eps: float) -> str:
    """ε in pixels of [0, 1]: as a short decimal where it is one, else in 255ths where it is such: `0.5`, `8/255`."""
    short, levels = f"{eps:g}", eps * 255
    if float(short) != eps and abs(levels - round(levels)) < 1e-6:
        return f"{round(levels)}/255"
    return short


def percent(fraction: float) -> str:
    """`0.554` → `55.4%`."""
    return f"{100 * fraction:.1f}%"


def points(difference: float) -> str:
    """A difference of fractions in percentage points: `-0.0123` → `−1.2`; what rounds to nothing has no sign."""
    rounded = round(100 * difference, 1) + 0.0
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"
