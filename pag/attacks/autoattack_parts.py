"""AutoAttack's attacks by name: the standard version's, and what stands in their place where there are too few classes.

Without AutoAttack and torch, so that results can be told without waiting for them; `pag.attacks.autoattack` has the attacks.
"""

from collections.abc import Iterable, Mapping

__all__ = ["STANDARD", "SUBSTITUTES", "fitting", "substituted"]

STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")
SUBSTITUTES: Mapping[str, str] = {"apgd-t": "apgd-dlr", "apgd-dlr": "apgd-margin"}

_FEWEST_CLASSES: Mapping[str, int] = {"apgd-t": 4, "apgd-dlr": 3}  # of the others: 2


def fitting(name: str, num_classes: int) -> str:
    """The attack `name`, or the first of its substitutes that can work on so few classes, at least 2."""
    while num_classes < _FEWEST_CLASSES.get(name, 2):
        name = SUBSTITUTES[name]
    return name


def substituted(attacks: Iterable[str]) -> list[str]:
    """Those of `attacks` that stand in the place of the standard version's: what was run is then not AutoAttack."""
    run = set(attacks)
    return [name for name in SUBSTITUTES.values() if name in run]
