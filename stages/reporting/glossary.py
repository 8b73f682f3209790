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
    Term("Vanilla", "Vanilla", "Trained with cross-entropy alone.", "section 2.2, eq. (2)"),
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
        "Nearest neighbour, relative to own class",
        "Targets point from the nearest other image of the image's own class to the nearest one of the target class.",
        "not in the paper",
    ),
    Term(
        "SBG",
        "Score-based gradients",
        "Targets are the class-conditional score of a diffusion model minus the unconditional one.",
        "section 4.2, eq. (8)",
    ),
    Term(
        "Kernel",
        "Kernel targets",
        "Targets are differences of posterior means under a kernel density estimate of the training images; no diffusion model.",
        "not in the paper",
    ),
    Term(
        "Teacher",
        "Teacher targets",
        "Targets are the gradients of a trained network's margins: an oracle, to see how far targets can go.",
        "not in the paper",
    ),
    Term(
        "own targets",
        "Targets of your own",
        "Targets are what a function of your own returns for an image and its class.",
        "not in the paper",
    ),
    Term(
        "aligned margin",
        "Aligned margin",
        "Trains at a point along a stored direction, aligns the margin's gradient there and keeps the margin over the rest of ε.",
        "not in the paper",
    ),
    Term(
        "gradient norm",
        "Gradient-norm regularisation",
        "Trains with the cross-entropy plus the size of its input gradient, in the dual of the threat's norm.",
        "not in the paper",
    ),
    Term(
        "AT",
        "Adversarial training",
        "Trains on images perturbed by 7-step PGD.",
        "section 2.2, eq. (3); appendix G.2",
    ),
    Term(
        "TRADES",
        "TRADES",
        "Trains with the cross-entropy and keeps predictions on perturbed images close to those on the originals.",
        "section 6, appendix G.3",
    ),
    Term(
        "FGSM",
        "Single-step adversarial training",
        "Trains on images perturbed by one gradient step from a random start.",
        "not in the paper",
    ),
    Term(
        "AA",
        "AutoAttack",
        "Four attacks, one after another; an image that withstands all of them counts as robust.",
        "section 5.2",
    ),
    Term(
        "PGD",
        "Projected gradient descent",
        "An attack that steps along the sign or direction of a gradient, projecting onto the ball of radius ε after each step.",
        "section 2.1, eq. (1)",
    ),
    Term(
        "APGD-T",
        "Targeted auto-PGD",
        "The second of AutoAttack's attacks: PGD that chooses its own step sizes, towards one class after another.",
        "Croce and Hein (2020)",
    ),
    Term(
        "λ",
        "Alignment weight",
        "How much the cosine between the network's gradients and their targets counts relative to the cross-entropy; 0 is vanilla.",
        "section 3, eq. (4); table 8",
        linked=False,
    ),
    Term(
        "ε",
        "Perturbation size",
        "How large a perturbation an attack may make: the radius of its ball, with pixels in [0, 1].",
        "section 2.1",
        linked=False,
    ),
    Term("L₂", "Euclidean norm", "The square root of the sum of squared pixel changes.", "section 2.1", linked=False),
    Term("L∞", "Maximum norm", "The largest change of any pixel.", "section 2.1", linked=False),
    Term(
        "clean",
        "Clean accuracy",
        "The share of test images classified correctly without an attack.",
        "section 5.2",
        linked=False,
    ),
    Term(
        "robust accuracy",
        "Accuracy under attack",
        "The share of test images classified correctly whatever the attack does within ε.",
        "section 5.2",
        linked=False,
    ),
    Term(
        "alignment",
        "Gradient alignment",
        "The mean cosine between the network's input gradients and score-based gradients at test images, from −1 to 1.",
        "section 3, eq. (5); measuring it on test images is not in the paper",
        linked=False,
    ),
    Term(
        "interval",
        "Confidence interval",
        "In brackets: what a number may well be on other test images. A difference counts as one if its interval excludes 0.",
        "not in the paper",
        linked=False,
    ),
    Term(
        "vanilla = 1",
        "Training cost",
        "Forward passes, or their equivalents, that training takes, relative to vanilla training.",
        "not in the paper",
        linked=False,
    ),
    Term(
        "generated",
        "Generated images",
        "A share of each batch consists of images drawn by the diffusion model, in place of real ones.",
        "not in the paper",
        linked=False,
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
