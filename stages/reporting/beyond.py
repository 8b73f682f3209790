"""What goes beyond the paper: targets without a diffusion model, the aligned margin, and the baselines to be fair to."""

from collections.abc import Collection, Mapping, Sequence

from pag.base.vocabulary import Family
from pag.figures.names import percent
from stages.params.methods import AdversarialParams, method_section
from stages.params.reading import Params
from stages.reporting.comparisons import compared, sentences
from stages.reporting.costs import relative_cost, times_text
from stages.reporting.methods import MethodResult, MethodResults

__all__ = ["beyond_findings", "beyond_notes", "beyond_paper"]

BEYOND: tuple[Family, ...] = ("kernel", "teacher", "aligned-margin", "gradient-norm")
"""Families that are not the paper's; neither is adversarial training in a single step."""

LIMITS: Mapping[Family, str] = {
    "kernel": (
        "Kernel targets are differences of posterior means under a kernel density estimate of the training images: eq. (8) with "
        "a Parzen estimate in place of the diffusion model. They are not in the paper."
    ),
    "teacher": (
        "Teacher targets are the input gradients of a previously trained classifier, usually an adversarially trained one. They "
        "show how far targets can go and are not a method in their own right: the teacher's cost is not counted."
    ),
    "aligned-margin": (
        "The aligned margin trains at points off the training images, along stored directions: it does not search for "
        "adversarial examples, but it does perturb images. One of its terms penalises the network's own gradient and uses no "
        "targets: it is a gradient regulariser, and only a run without it shows how much robustness is due to alignment."
    ),
    "gradient-norm": "The gradient norm method penalises the gradient of the cross-entropy and uses no targets.",
}


SINGLE_STEP = (
    "FGSM is single-step adversarial training from a random start (Wong et al., 2020): the cheapest adversarial search, and the "
    "baseline for a method without one."
)


def beyond_paper(params: Params, results: MethodResults) -> list[MethodResult]:
    """The methods that the paper does not have a row of its kind for."""
    return [m for m in results.methods if m.method.family in BEYOND or _single_step(params, results, m)]


def _single_step(params: Params, results: MethodResults, method: MethodResult) -> bool:
    section = (
        method_section(params, results.dataset, method.method.name) if method in results.of("adversarial") else None
    )
    return isinstance(section, AdversarialParams) and section.steps == 1


def beyond_notes(methods: Sequence[MethodResult]) -> tuple[str, ...]:
    """What such methods are, and what their numbers do not say."""
    families = dict.fromkeys(method.method.family for method in methods)
    notes = [LIMITS[family] for family in families if family in LIMITS]
    return (*notes, SINGLE_STEP) if "adversarial" in families else tuple(notes)


def beyond_findings(results: MethodResults, ablated: Collection[str] = ()) -> list[str]:
    """How each method that is not the paper's stands to those that it is to be measured by.

    Args:
        results: of the methods that count.
        ablated: names of aligned-margin methods that are another one with a part changed, which have a sentence elsewhere.
    """
    margins = [method for method in results.of("aligned-margin") if method.name not in ablated]
    return [
        *(_kernel(results, method) for method in results.of("kernel")),
        *(_teacher(results, method) for method in results.of("teacher")),
        *(_margin(results, method) for method in margins),
        *(_gradient_norm(results, method) for method in results.of("gradient-norm")),
    ]


def _standing(results: MethodResults, method: MethodResult, *others: MethodResult | None, at: bool = True) -> list[str]:
    """How it stands to each of the others, with `at` to adversarial training too, and how accurate it is."""
    clauses = [compared(results, method, other, "it") for other in others if other is not None]
    trained = _against_adversarial(results, method) if at else []
    return [*clauses, *trained, f"clean accuracy: {percent(method.clean.value)}"]


def _against_adversarial(results: MethodResults, method: MethodResult) -> list[str]:
    """Under each threat against the adversarially trained method that is the most robust there."""
    trained = results.of("adversarial")
    if not trained:
        return []
    best = {threat: max(trained, key=lambda at: at.robust(threat).value).name for threat in results.threats}
    clauses = [
        compared(results, method, at, "it", [threat for threat, name in best.items() if name == at.name])
        for at in trained
        if at.name in best.values()
    ]
    return [f"compared with the most robust adversarial training under each threat, {'; '.join(clauses)}"]


def _kernel(results: MethodResults, method: MethodResult) -> str:
    stands = _standing(results, method, results.score_based, *results.of("own-class heuristic"), at=False)
    return sentences([f"{method.label} (ours) has targets in closed form, without a diffusion model", *stands])


def _teacher(results: MethodResults, method: MethodResult) -> str:
    stands = _standing(results, method, results.score_based)
    return sentences(
        [f"{method.label}, an oracle rather than a method, learns from the gradients of a trained classifier", *stands]
    )


def _margin(results: MethodResults, method: MethodResult) -> str:
    """Against score-based targets and adversarial training, with what it costs beside the latter."""
    stands = _standing(results, method, results.score_based)
    what = (
        f"{method.label} (ours) perturbs images but does not search for adversarial examples{_prices(results, method)}"
    )
    return sentences([what, *stands, *_less_aligned(results, method)])


def _prices(results: MethodResults, method: MethodResult) -> str:
    """`; its training costs 2.9× vanilla's (AT L₂ 5.7×)`, where it is known."""
    own, others = (
        relative_cost(results, method),
        [(at.label, relative_cost(results, at)) for at in results.of("adversarial")],
    )
    if own is None:
        return ""
    beside = ", ".join(f"{label} {times_text(ratio)}" for label, ratio in others if ratio is not None)
    return f"; its training costs {times_text(own)} vanilla's{f' ({beside})' if beside else ''}"


def _less_aligned(results: MethodResults, method: MethodResult) -> list[str]:
    """Says so where the method has more robustness with less aligned gradients."""
    score = results.score_based
    if score is None or method.alignment.value >= score.alignment.value:
        return []
    if not any(results.sign(method, score, threat) > 0 for threat in results.threats):
        return []
    cosines = f"{method.alignment.value:.3f} against {score.alignment.value:.3f}"
    return [
        f"its gradients are less aligned than SBG's ({cosines}): across objectives, better aligned does not mean more robust"
    ]


def _gradient_norm(results: MethodResults, method: MethodResult) -> str:
    stands = _standing(results, method, results.vanilla, results.score_based)
    return sentences([f"{method.label} is a baseline without targets", *stands])
