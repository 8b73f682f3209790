"""What the numbers say, in sentences: which order holds in which norm, and what does not. Every sentence is computed."""

from collections.abc import Sequence
from itertools import combinations, pairwise

from pag.figures.names import eps_text, family, method_name, norm_name, percent
from stages.reporting.results import Evaluation, GridResults, Measure

__all__ = ["findings"]


def findings(results: GridResults) -> list[str]:
    """The answer for one data set and architecture: verdict, order, own-class targets, λ, adversarial training, alignment."""
    sentences = [_verdict(results)]
    sentences += [_order(results, threat) for threat in results.threats]
    sentences += [_own_class(results, own) for own in _of(results, "own-class heuristic")]
    sentences += [_monotone(results)]
    sentences += [_adversarial(results, at) for at in _of(results, "adversarial")]
    sentences += [_pairs(results)]
    return [sentence for sentence in sentences if sentence] or ["The grid holds nothing to compare."]


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _robust(evaluation: Evaluation, threat: str) -> Measure:
    return evaluation.autoattack[threat]


def _told(evaluation: Evaluation, threat: str) -> str:
    return f"{method_name(evaluation.method)} ({percent(_robust(evaluation, threat).value)})"


def _of(results: GridResults, *families: str) -> list[Evaluation]:
    return [cell.evaluation for cell in results.cells if family(cell.evaluation.method) in families]


def _verdict(results: GridResults) -> str:
    """Whether the networks that were trained for aligned gradients, never on perturbed images, are the more robust.

    Of several ε of a norm the smallest counts: at a large one all networks may have nothing left (section 5.3).
    """
    vanilla, aligned = results.cell("vanilla"), _of(results, "heuristic", "own-class heuristic", "score-based")
    if vanilla is None or not aligned:
        return ""
    base = vanilla.evaluation
    main = results.main_threats
    above = [e for e in aligned if all(_robust(e, t).value > _robust(base, t).value for t in main)]
    apart = [e for e in above if all(_robust(e, t).interval[0] > _robust(base, t).interval[1] for t in main)]
    word = "Yes" if len(above) == len(aligned) else "In part" if above else "No"
    every = len(main) == len(results.threats) > 1
    under = "under every threat" if every else f"in {_joined(list(main.values()))}"
    return (
        f"{word}: {len(above)} of {len(aligned)} networks trained for aligned gradients, without one perturbed image, are more "
        f"robust than vanilla {under}, {len(apart)} of them by more than the confidence intervals."
    )


def _order(results: GridResults, threat: str) -> str:
    """Whether vanilla < every heuristic of the paper < score-based holds, and if not, where it breaks."""
    vanilla, score = results.cell("vanilla"), results.cell("score_based")
    heuristics = sorted(_of(results, "heuristic"), key=lambda e: _robust(e, threat).value)
    if vanilla is None or score is None or not heuristics:
        return ""
    below, above = vanilla.evaluation, score.evaluation
    pairs = [(below, h) for h in heuristics] + [(h, above) for h in heuristics]
    broken = [(a, b) for a, b in pairs if _robust(a, threat).value >= _robust(b, threat).value]
    unsure = [(a, b) for a, b in pairs if (a, b) not in broken and _overlap(_robust(a, threat), _robust(b, threat))]
    attacked = results.threats[threat]
    where = f"Under AutoAttack in {norm_name(attacked.norm)} (ε = {eps_text(attacked.eps)}, n = {attacked.n})"
    if broken:
        told = _joined([f"{_told(b, threat)} is not above {_told(a, threat)}" for a, b in broken])
        return f"{where} the order vanilla < every heuristic < SBG does not hold: {told}."
    numbers = [percent(_robust(e, threat).value) for e in (below, heuristics[0], heuristics[-1], above)]
    span = numbers[1] if numbers[1] == numbers[2] else f"{numbers[1]} to {numbers[2]}"
    told = f"{where} the order vanilla < every heuristic < SBG holds ({numbers[0]} < {span} < {numbers[3]})"
    return told + (
        f", though the intervals of {_joined([_names(*pair) for pair in unsure])} overlap." if unsure else "."
    )


def _own_class(results: GridResults, own: Evaluation) -> str:
    """How a heuristic relative to the image's own class, which is not in the paper, stands to the paper's form of it and to SBG."""
    told = []
    for other in ("score_based", own.method.removesuffix("_own_class")):
        cell = results.cell(other)
        if cell is not None:
            against = _joined([_against(own, cell.evaluation, *threat) for threat in results.threat_names.items()])
            told.append(f"{method_name(other)} in {against}")
    if not told:
        return ""
    clean = percent(own.clean.value)
    name, versus = method_name(own.method), "; against ".join(told)
    return f"{name}, ours, needs no diffusion model; its robust accuracy against {versus}; clean {clean}."


def _names(a: Evaluation, b: Evaluation) -> str:
    return f"{method_name(a.method)} / {method_name(b.method)}"


def _overlap(a: Measure, b: Measure) -> bool:
    return a.interval[1] >= b.interval[0] and b.interval[1] >= a.interval[0]


def _monotone(results: GridResults) -> str:
    """Whether robust accuracy and alignment grow with λ (section 5.4)."""
    sweep = results.by_lambda
    if len(sweep) < 2:
        return ""
    lambdas = [lambda_ for lambda_, _ in sweep]
    curves = [
        (f"robust accuracy in {name}", [_robust(cell.evaluation, threat).value for _, cell in sweep], True)
        for threat, name in results.threat_names.items()
    ]
    curves.append(("alignment", [cell.evaluation.alignment.value for _, cell in sweep], False))
    told = [_course(name, lambdas, values, in_percent) for name, values, in_percent in curves]
    return f"As λ goes from {lambdas[0]:g} to {lambdas[-1]:g}: {'; '.join(told)}."


def _course(name: str, lambdas: Sequence[float], values: Sequence[float], in_percent: bool) -> str:
    texts = [percent(value) if in_percent else f"{value:.3f}" for value in values]
    steps = list(pairwise(range(len(values))))
    falls = [
        f"from {texts[i]} at λ = {lambdas[i]:g} to {texts[j]} at λ = {lambdas[j]:g}"
        for i, j in steps
        if values[j] < values[i]
    ]
    ends = f"{texts[0]} to {texts[-1]}"
    if falls:
        return f"{name} is not monotone ({ends}): it falls {_joined(falls)}"
    strictly = all(values[i] < values[j] for i, j in steps)
    return f"{name} {'rises at every step' if strictly else 'never falls'} ({ends})"


def _adversarial(results: GridResults, at: Evaluation) -> str:
    """How adversarial training stands to SBG, in robustness and in alignment: it may have more of one and less of the other."""
    score = results.cell("score_based")
    if score is None:
        return ""
    sbg, name = score.evaluation, method_name(at.method)
    names = results.threat_names
    more = [t for t in names if _robust(at, t).value > _robust(sbg, t).value]
    rest = [t for t in names if t not in more]
    parts = [
        f"{word} robust than SBG in {_joined([_against(at, sbg, t, names[t]) for t in group])}"
        for word, group in (("more", more), ("not more", rest))
        if group
    ]
    cosines = f"({at.alignment.value:.3f} against {sbg.alignment.value:.3f})"
    less = at.alignment.value < sbg.alignment.value
    told = f"{name} is {' but '.join(parts)}, with {'less' if less else 'no less'} aligned gradients {cosines}"
    return told + ("; so alignment alone does not order robustness." if less and more else ".")


def _against(a: Evaluation, b: Evaluation, threat: str, name: str) -> str:
    return f"{name} ({percent(_robust(a, threat).value)} against {percent(_robust(b, threat).value)})"


def _pairs(results: GridResults) -> str:
    """In how many pairs of networks the one with better aligned gradients is the more robust."""
    evaluations = [cell.evaluation for cell in results.cells]
    pairs = list(combinations(evaluations, 2))
    if not pairs:
        return ""
    counts = [
        f"{sum(_agree(a, b, threat) for a, b in pairs)} of {len(pairs)} pairs in {name}"
        for threat, name in results.threat_names.items()
    ]
    return f"Among all {len(evaluations)} networks the better aligned one is the more robust in {_joined(counts)}."


def _agree(a: Evaluation, b: Evaluation, threat: str) -> bool:
    return (a.alignment.value - b.alignment.value) * (_robust(a, threat).value - _robust(b, threat).value) > 0
