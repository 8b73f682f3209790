"""Foolbox's attacks of table 6, by the names that params and results have for them: what each measures in, and its options.

Without Foolbox and torch, so that params can be checked without waiting for them; `pag.attacks.foolbox` has the attacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["FOOLBOX", "FoolboxKind", "FoolboxName", "FoolboxNorm"]

FoolboxName = Literal[
    "salt_and_pepper_noise", "binary_search_contrast_reduction", "gaussian_blur", "linear_search_blended_uniform_noise",
    "l0_fmn", "l1_fmn", "ead",
]  # fmt: skip
FoolboxNorm = Literal["l0", "l1", "l2"]


@dataclass(frozen=True)
class FoolboxKind:
    """The norm that an attack measures in, and the options that one may set, by Foolbox's names."""

    norm: FoolboxNorm
    options: frozenset[str]


_FMN = frozenset({"steps", "max_stepsize", "gamma"})
FOOLBOX: Mapping[FoolboxName, FoolboxKind] = {
    "salt_and_pepper_noise": FoolboxKind("l2", frozenset({"steps"})),
    "binary_search_contrast_reduction": FoolboxKind("l2", frozenset({"binary_search_steps"})),
    "gaussian_blur": FoolboxKind("l2", frozenset({"steps", "max_sigma"})),
    "linear_search_blended_uniform_noise": FoolboxKind("l2", frozenset({"directions", "steps"})),
    "l0_fmn": FoolboxKind("l0", _FMN),
    "l1_fmn": FoolboxKind("l1", _FMN),
    "ead": FoolboxKind(
        "l1", frozenset({"binary_search_steps", "steps", "initial_stepsize", "initial_const", "regularization"})
    ),
}
