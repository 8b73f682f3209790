"""What the numbers say, in sentences: which order holds in which norm, and what does not. Every sentence is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from pag.base.vocabulary import Family
from pag.figures.names import eps_text, norm_name, percent
from stages.params.reading import Params
from stages.reporting.ablations import ablation_findings, ablations
from stages.reporting.beyond import beyond_findings
from stages.reporting.comparisons import compared, joined, sentences, with_number
from stages.reporting.costs import cost_findings
from stages.reporting.credibility import cost, counted, discounted
from stages.reporting.methods import MethodResult, MethodResults, seeds_text

__all__ = ["Findings", "findings"]

UNPERTURBED: tuple[Family, ...] = ("heuristic", "own-class heuristic", "score-based", "imported", "kernel")


@dataclass(frozen=True)
class Findings:
    """What the results of one data set and architecture say.

    Attributes:
        verdict: the answer to the paper's question; empty where the grid cannot give one.
        basis: how many runs stand behind it, and when a difference is one; empty without a verdict.
        groups: sentences by what they are about, in the order of the page; only groups that say something.
    """

    verdict: str
    basis: str
    groups: dict[str, list[str]]


def findings(params: Params, results: MethodResults) -> Findings:
    """The verdict and everything else that can be said of one data set and architecture.

    Methods whose numbers do not count are told first, and are in no other sentence. The paper's order is of its own methods;
    own-class heuristics and imported targets stand outside it.
    """
    everyone, results = results, counted(results)
    verdict = _verdict(everyone, results)
    groups = {"Not counted": discounted(everyone)}
    if results.methods:
        groups |= _groups(params, everyone, results)
    told = {title: sentences for title, of in groups.items() if (sentences := _told(of))}
    return Findings(verdict, _basis(everyone) if verdict else "", told)


def _groups(params: Params, everyone: MethodResults, results: MethodResults) -> dict[str, list[str]]:
    """Sentences of the methods that count, some of them empty."""
    ablated = [method.name for _, method, _ in ablations(params, results)]
    outside = [_own_class(results, own) for own in results.of("own-class heuristic")]
    outside += [_imported(results, imported) for imported in results.of("imported")]
    return {
        "The paper's order": [_order(results, threat) for threat in results.threats],
        "The weight λ": [_monotone(results)],
        "Adversarial training": [_adversarial(results, at) for at in results.of("adversarial")],
        "Beyond the paper": [*outside, *beyond_findings(results, ablated), *ablation_findings(params, results)],
        "Alignment and robustness": [_pairs(results, "all" if results.methods == everyone.methods else "the")],
        "Cost": cost_findings(results),
    }


def _told(sentences: Sequence[str]) -> list[str]:
    """Those that say something; the label of a method may begin with a small letter."""
    return [sentence[0].upper() + sentence[1:] for sentence in sentences if sentence]


def _basis(results: MethodResults) -> str:
    """How many runs stand behind the sentences, and when a difference is one."""
    means = "Numbers are means over " if results.several else "Numbers are from "
    over = "seeds and images" if results.several else "images; no other seeds were tried"
    return (
        f"{means}{seeds_text(results)}; a method is called more or less robust if the {100 * results.confidence:g}% interval of "
        f"the paired difference (over {over}) excludes 0."
    )


def _verdict(everyone: MethodResults, sound: MethodResults) -> str:
    """Whether the networks that were trained for aligned gradients, never on perturbed images, are the more robust.

    Of several ε of a norm the smallest counts: at a large one all networks may have nothing left (section 5.3). What was paid in
    clean accuracy is told where it is more than a little.
    """
    aligned, vanilla, main = everyone.of(*UNPERTURBED), sound.vanilla, everyone.main_threats
    if vanilla is None or not aligned:
        return ""
    signs = {method.name: [sound.sign(method, vanilla, threat) for threat in main] for method in sound.of(*UNPERTURBED)}
    above = [method for method in aligned if min(signs.get(method.name, [-1])) > 0]
    unsure = [method.label for method in aligned if min(signs.get(method.name, [-1])) == 0]
    word = "Yes" if len(above) == len(aligned) else "In part" if above else "Inconclusive" if unsure else "No"
    every = len(main) == len(everyone.threats) > 1
    under = "under every threat" if every else f"in {joined(list(main.values()))}"
    paid = [f"{m.label} ({price})" for m in above if (price := cost(m, vanilla))]
    price = f"; at the price of clean accuracy for {joined(paid)}" if paid else ""
    untold = f"; inconclusive for {joined(unsure)}" if unsure else ""
    return (
        f"{word}: {len(above)} of {len(aligned)} methods that align gradients, trained without perturbed images, are more robust "
        f"than vanilla {under}{untold}{price}."
    )


def _order(results: MethodResults, threat: str) -> str:
    """Whether vanilla < every heuristic of the paper < score-based holds, and if not, where it breaks."""
    vanilla, score = results.vanilla, results.score_based
    heuristics = sorted(results.of("heuristic"), key=lambda method: method.robust(threat).value)
    if vanilla is None or score is None or not heuristics:
        return ""
    pairs = [(vanilla, h) for h in heuristics] + [(h, score) for h in heuristics]
    signs = [results.sign(b, a, threat) for a, b in pairs]
    broken, unsure = ([pair for pair, sign in zip(pairs, signs, strict=True) if sign == s] for s in (-1, 0))
    attacked = results.threats[threat]
    where = f"Under {results.suite} in {norm_name(attacked.norm)} (ε = {eps_text(attacked.eps)}, n = {attacked.n})"
    if broken:
        places = joined([f"{with_number(b, threat)} is below {with_number(a, threat)}" for a, b in broken])
        return f"{where}, the order vanilla < every heuristic < SBG does not hold: {places}."
    if unsure:
        places = joined([f"{with_number(b, threat)} is above {with_number(a, threat)}" for a, b in unsure])
        return f"{where}, nothing contradicts the order vanilla < every heuristic < SBG, though it is unclear whether {places}."
    numbers = [percent(method.robust(threat).value) for method in (vanilla, heuristics[0], heuristics[-1], score)]
    span = numbers[1] if numbers[1] == numbers[2] else f"{numbers[1]} to {numbers[2]}"
    return f"{where}, the order vanilla < every heuristic < SBG holds ({numbers[0]} < {span} < {numbers[3]})."


def _own_class(results: MethodResults, own: MethodResult) -> str:
    """How a heuristic relative to the image's own class, which is not in the paper, stands to SBG and to the paper's form of it."""
    papers = (method for method in results.of("heuristic") if method.method.kind == own.method.kind)
    others = [method for method in (results.score_based, next(papers, None)) if method is not None]
    if not others:
        return ""
    stands = [compared(results, own, other, "it") for other in others]
    clean = f"clean accuracy: {percent(own.clean.value)}"
    return sentences([f"{own.label} (ours) needs no diffusion model", *stands, clean])


def _imported(results: MethodResults, imported: MethodResult) -> str:
    """How targets that somebody else computed, which no order of the paper covers, stand to vanilla and to SBG."""
    others = [method for method in (results.vanilla, results.score_based) if method is not None]
    if not others:
        return ""
    stands = [compared(results, imported, other, "it") for other in others]
    clean = f"clean accuracy: {percent(imported.clean.value)}"
    return sentences([f"{imported.label} learns from targets computed elsewhere", *stands, clean])


def _monotone(results: MethodResults) -> str:
    """Whether robust accuracy and alignment grow with λ (section 5.4)."""
    sweep = results.by_lambda
    if len(sweep) < 2:
        return ""
    lambdas, methods = zip(*sweep, strict=True)
    courses = [
        _course(
            f"robust accuracy in {name}",
            lambdas,
            [percent(method.robust(threat).value) for method in methods],
            [results.sign(b, a, threat) for a, b in pairwise(methods)],
        )
        for threat, name in results.threat_names.items()
    ]
    cosines = [method.alignment.value for method in methods]
    signs = [(b > a) - (b < a) for a, b in pairwise(cosines)]
    courses.append(_course("alignment", lambdas, [f"{cosine:.3f}" for cosine in cosines], signs))
    return f"As λ grows from {lambdas[0]:g} to {lambdas[-1]:g}: {'; '.join(courses)}."


def _course(name: str, lambdas: Sequence[float], texts: Sequence[str], signs: Sequence[int]) -> str:
    """How a curve goes: `signs` has 1, −1 or, where one cannot tell, 0 for each step."""
    ends = f"{texts[0]} to {texts[-1]}"
    steps = list(enumerate(signs))
    falls = [
        f"from {texts[i]} at λ = {lambdas[i]:g} to {texts[i + 1]} at λ = {lambdas[i + 1]:g}"
        for i, sign in steps
        if sign < 0
    ]
    if falls:
        return f"{name} is not monotone ({ends}): it falls {joined(falls)}"
    untold = [f"{lambdas[i]:g} and {lambdas[i + 1]:g}" for i, sign in steps if sign == 0]
    if not untold:
        return f"{name} rises at every step ({ends})"
    return f"{name} never falls ({ends}), though it is unclear whether it rises between λ = {joined(untold)}"


def _adversarial(results: MethodResults, at: MethodResult) -> str:
    """How adversarial training stands to SBG, in robustness and in alignment: it may have more of one and less of the other."""
    score = results.score_based
    if score is None:
        return ""
    cosines = f"({at.alignment.value:.3f} against {score.alignment.value:.3f})"
    less = at.alignment.value < score.alignment.value
    more = any(results.sign(at, score, threat) > 0 for threat in results.threats)
    told = f"its gradients are {'less' if less else 'no less'} aligned {cosines}"
    so = ", so alignment alone does not rank methods by robustness" if less and more else ""
    return sentences([compared(results, at, score), f"{told}{so}"])


def _pairs(results: MethodResults, all_or_some: str) -> str:
    """In how many pairs of methods the one with better aligned gradients is the more robust."""
    pairs = list(combinations(results.methods, 2))
    if not pairs:
        return ""
    counts = [_agreeing(results, pairs, threat, name) for threat, name in results.threat_names.items()]
    return f"Among {all_or_some} {len(results.methods)} methods, the better aligned one is more robust in {joined(counts)}."


def _agreeing(
    results: MethodResults, pairs: Sequence[tuple[MethodResult, MethodResult]], threat: str, name: str
) -> str:
    signs = [(results.sign(a, b, threat), a.alignment.value - b.alignment.value) for a, b in pairs]
    agree, unsure = sum(sign * cosine > 0 for sign, cosine in signs), sum(sign == 0 for sign, _ in signs)
    told = f" ({unsure} inconclusive)" if unsure else ""
    return f"{agree} of {len(pairs)} pairs in {name}{told}"
