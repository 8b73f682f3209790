"""The equations of what networks are trained with: of each objective and each source of targets, with its word in the glossary."""

from collections.abc import Mapping
from dataclasses import dataclass

from pag.base.vocabulary import ObjectiveName, SourceKind
from pag.page.report import Term
from stages.reporting.glossary import GLOSSARY

__all__ = ["OBJECTIVES", "SOURCES", "SYMBOLS", "Explanation"]


@dataclass(frozen=True)
class Explanation:
    """Of an objective, a source or a symbol.

    Attributes:
        word: of the glossary, which says what it means and where it comes from.
        equation: its lines.
        module: where it is computed.
    """

    word: str
    equation: tuple[str, ...]
    module: str

    @property
    def term(self) -> Term:
        """The entry of the glossary."""
        return GLOSSARY[self.word]


OBJECTIVES: Mapping[ObjectiveName, Explanation] = {
    "cross_entropy": Explanation("Vanilla", ("L = L_CE(f(x), y)",), "pag/training/objectives/base.py"),
    "alignment": Explanation(
        "PAG",
        ("L = L_CE(f(x), y) + λ Σ_c [1 − cos(∇_x f(x)_c, g(x, c))]        eqs. (4) and (5)",),
        "pag/training/objectives/alignment.py",
    ),
    "adversarial": Explanation(
        "AT", ("L = max_{‖δ‖_p ≤ ε} L_CE(f(x + δ), y)        eq. (3)",), "pag/training/objectives/adversarial.py"
    ),
    "trades": Explanation(
        "TRADES",
        ("L = L_CE(f(x), y) + β max_{‖δ‖_p ≤ ε} KL(softmax f(x) ‖ softmax f(x + δ))",),
        "pag/training/objectives/adversarial.py",
    ),
    "gradient_norm": Explanation(
        "gradient norm",
        ("L = L_CE(f(x), y) + w ‖∇_x L_CE(f(x), y)‖_q,   1/p + 1/q = 1",),
        "pag/training/objectives/gradient_norm.py",
    ),
    "aligned_margin": Explanation(
        "aligned margin",
        (
            "x' = clip(x + t ε u),   t ~ U[0, 1],   u = argmax_{‖d‖_p ≤ 1} ⟨g(x, c), d⟩",
            "L = L_CE(f(x'), y) + λ C [1 − cos(−∇m_c'(x'), ĝ(x, c'))] + μ softplus(−m_c'(x') + (1 − t) ε ‖∇m_c'(x')‖_q)",
            "m_c = f_y − f_c;  c and c' drawn from the network's probabilities at temperature T",
        ),
        "pag/training/objectives/aligned_margin.py",
    ),
}

SOURCES: Mapping[SourceKind, Explanation] = {
    "one_image": Explanation("OI", ("g(x, c) = r_c − x,   r_c an image of class c",), "pag/targets/representatives.py"),
    "class_mean": Explanation(
        "CM", ("g(x, c) = r_c − x,   r_c = s · mean of class c",), "pag/targets/representatives.py"
    ),
    "nearest_neighbor": Explanation(
        "NN",
        ("g(x, c) = r(x, c) − x,   r(x, c) = argmin_{x̂ ∈ D_c, x̂ ≠ x} ‖x̂ − x‖₂        eq. (6)",),
        "pag/targets/representatives.py",
    ),
    "kernel": Explanation(
        "Kernel",
        ("g(x, c) = r_c(x) − r_y(x),   r_c(x) = Σ_{i∈c, i≠x} softmax_i(−‖x − x_i‖² / 2σ²) x_i",),
        "pag/targets/kernel.py",
    ),
    "score_based": Explanation(
        "SBG",
        ("g(x, y) = ∇ log p(x_t | y) − ∇ log p(x_t) = (ε_θ(x_t, t, ∅) − ε_θ(x_t, t, y)) / √(1 − ᾱ_t)        eq. (8)",),
        "pag/targets/score_based.py",
    ),
    "teacher": Explanation("Teacher", ("g(x, c) = ∇_x (f_c − f_y)(x)",), "pag/targets/teacher.py"),
    "own": Explanation("own targets", ("g(x, c) = what the function returns",), "pag/targets/own.py"),
}

SYMBOLS: Mapping[str, Explanation] = {
    "NN (own class)": Explanation("NN (own class)", ("g(x, c) = r(x, c) − r(x, y)",), "pag/targets/relative.py"),
    "PGD": Explanation("PGD", ("δ ← Proj_ε(δ + α ∇_δ L(f(x + δ), y))        eq. (1)",), "pag/attacks/pgd.py"),
    "FGSM": Explanation("FGSM", ("δ = Proj_ε(δ₀ + 1.25 ε sign ∇_δ L(f(x + δ₀), y))",), "pag/attacks/pgd.py"),
    "AA": Explanation("AA", ("APGD on the cross-entropy, APGD-T, FAB-T, Square",), "pag/attacks/autoattack.py"),
    "alignment": Explanation(
        "alignment", ("mean over x and c of cos(∇_x log softmax f(x)_c, g(x, c))",), "pag/alignment/gradients.py"
    ),
    "vanilla = 1": Explanation(
        "vanilla = 1", ("3 for vanilla, 3 + 3k for alignment with k classes a step, 2n + 3 for PGD with n steps",), ""
    ),
}
