"""The words of tables, figures and findings: what each is in full, what it means, and where it comes from."""

from collections.abc import Mapping
from types import MappingProxyType

from pag.page.report import Term

__all__ = ["GLOSSARY", "term_of"]

_TERMS = (
    Term(
        "PAG",
        "perceptually aligned gradients",
        "Input gradients that point where a person would look: moving along them makes an image look like the class.",
        "section 2",
    ),
    Term("Vanilla", "Vanilla", "Trained with the cross-entropy alone."),
    Term("OI", "One image", "Targets point from the image to one training image of the class.", "section 4.1"),
    Term("CM", "Class mean", "Targets point from the image to the mean of the class.", "section 4.1"),
    Term(
        "NN",
        "Nearest neighbour",
        "Targets point from the image to the nearest training image of the class.",
        "section 4.1",
    ),
    Term(
        "NN (own class)",
        "Nearest neighbour, relative to the own class",
        "Targets point from the nearest other image of the own class to the nearest of the target class.",
        "not in the paper",
    ),
    Term(
        "SBG",
        "Score-based gradients",
        "Targets are the class-conditional less the unconditional score of a diffusion model.",
        "section 4.2, eq. (8)",
    ),
    Term(
        "Kernel",
        "Kernel targets",
        "Targets are differences of posterior means under a kernel density of the training images; no diffusion model.",
        "not in the paper",
    ),
    Term(
        "aligned margin",
        "Aligned margin",
        "Trains at a point along a stored direction, aligns the margin's gradient there and keeps the margin over the rest of ε.",
        "not in the paper",
    ),
    Term("AT", "Adversarial training", "Trains on images that PGD with 7 steps has perturbed.", "section 5.2"),
    Term(
        "FGSM",
        "Single-step adversarial training",
        "Trains on images perturbed by one gradient step from a random start.",
        "not in the paper",
    ),
    Term(
        "AA",
        "AutoAttack",
        "Four attacks one after the other; what withstands all of them counts as robust.",
        "section 5.2",
    ),
)

GLOSSARY: Mapping[str, Term] = MappingProxyType({term.short: term for term in _TERMS})
"""By the word itself."""


def term_of(label: str) -> Term | None:
    """The term that a method's label is or begins with, the longest of them; None where the glossary has none."""
    return max(
        (term for short, term in GLOSSARY.items() if label.startswith(short)),
        key=lambda term: len(term.short),
        default=None,
    )
