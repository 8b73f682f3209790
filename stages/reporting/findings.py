"""What the numbers say, in sentences: which order holds in which norm, and what does not. Every sentence is computed."""

from collections.abc import Sequence
from itertools import combinations, pairwise

from pag.base.vocabulary import Family
from pag.evaluation.metrics import Estimate
from pag.figures.names import eps_text, norm_name, percent
from stages.reporting.credibility import cost, counted, discounted
from stages.reporting.results import CellResult, GridResults

__all__ = ["findings"]


def findings(results: GridResults) -> list[str]:
    """The answer for one data set and architecture, in the order of the page.

    The verdict; who does not count; the paper's order under each threat; what stands outside that order (own-class heuristics,
    imported targets); λ; adversarial training; and alignment against robustness over all networks.
    """
    sentences = [_verdict(results), *discounted(results)]
    everyone, results = results, counted(results)
    if not results.cells:
        return [sentence for sentence in sentences if sentence]
    sentences += [_order(results, threat) for threat in results.threats]
    sentences += [_own_class(results, own) for own in _of(results, "own-class heuristic", "kernel")]
    sentences += [_imported(results, imported) for imported in _of(results, "imported")]
    sentences += [_monotone(results)]
    sentences += [_adversarial(results, at) for at in _of(results, "adversarial")]
    sentences += [_pairs(results, "all" if results.cells == everyone.cells else "the")]
    return [sentence for sentence in sentences if sentence] or ["The grid holds nothing to compare."]


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _robust(cell: CellResult, threat: str) -> Estimate:
    return cell.evaluation.autoattack[threat]


def _with_number(cell: CellResult, threat: str) -> str:
    return f"{cell.label} ({percent(_robust(cell, threat).value)})"


def _of(results: GridResults, *families: Family) -> list[CellResult]:
    return [cell for cell in results.cells if cell.method.family in families]


def _verdict(results: GridResults) -> str:
    """Whether the networks that were trained for aligned gradients, never on perturbed images, are the more robust.

    Of several ε of a norm the smallest counts: at a large one all networks may have nothing left (section 5.3). What was paid in
    clean accuracy is told where it is more than a little.
    """
    families: tuple[Family, ...] = ("heuristic", "own-class heuristic", "kernel", "score-based", "imported")
    sound, aligned = counted(results), _of(results, *families)
    vanilla = sound.vanilla
    if vanilla is None or not aligned:
        return ""
    main = results.main_threats
    above = [c for c in _of(sound, *families) if all(_robust(c, t).value > _robust(vanilla, t).value for t in main)]
    apart = [c for c in above if all(_robust(c, t).interval[0] > _robust(vanilla, t).interval[1] for t in main)]
    word = "Yes" if len(above) == len(aligned) else "In part" if above else "No"
    every = len(main) == len(results.threats) > 1
    under = "under every threat" if every else f"in {_joined(list(main.values()))}"
    paid = [f"{c.label} ({price})" for c in above if (price := cost(c, vanilla))]
    price = f"; clean accuracy was paid for it by {_joined(paid)}" if paid else ""
    return (
        f"{word}: {len(above)} of {len(aligned)} networks trained for aligned gradients, without one perturbed image, are more "
        f"robust than vanilla {under}, {len(apart)} of them by more than the confidence intervals{price}."
    )


def _order(results: GridResults, threat: str) -> str:
    """Whether vanilla < every heuristic of the paper < score-based holds, and if not, where it breaks."""
    vanilla, score = results.vanilla, results.score_based
    heuristics = sorted(_of(results, "heuristic"), key=lambda cell: _robust(cell, threat).value)
    if vanilla is None or score is None or not heuristics:
        return ""
    pairs = [(vanilla, h) for h in heuristics] + [(h, score) for h in heuristics]
    broken = [(a, b) for a, b in pairs if _robust(a, threat).value >= _robust(b, threat).value]
    unsure = [(a, b) for a, b in pairs if (a, b) not in broken and _overlap(_robust(a, threat), _robust(b, threat))]
    attacked = results.threats[threat]
    where = f"Under AutoAttack in {norm_name(attacked.norm)} (ε = {eps_text(attacked.eps)}, n = {attacked.n})"
    if broken:
        places = _joined([f"{_with_number(b, threat)} is not above {_with_number(a, threat)}" for a, b in broken])
        return f"{where} the order vanilla < every heuristic < SBG does not hold: {places}."
    numbers = [percent(_robust(cell, threat).value) for cell in (vanilla, heuristics[0], heuristics[-1], score)]
    span = numbers[1] if numbers[1] == numbers[2] else f"{numbers[1]} to {numbers[2]}"
    holds = f"{where} the order vanilla < every heuristic < SBG holds ({numbers[0]} < {span} < {numbers[3]})"
    names = [f"{a.label} / {b.label}" for a, b in unsure]
    return holds + (f", though the intervals of {_joined(names)} overlap." if unsure else ".")


def _own_class(results: GridResults, own: CellResult) -> str:
    """How a source that is not the paper's and needs no network stands to SBG, and to the paper's form of it, if there is one."""
    papers = (cell for cell in _of(results, "heuristic") if cell.method.kind == own.method.kind)
    others = [cell for cell in (results.score_based, next(papers, None)) if cell is not None]
    if not others:
        return ""
    versus = "; against ".join(f"{other.label} in {_under_each(results, own, other)}" for other in others)
    clean = percent(own.evaluation.clean.value)
    return f"{own.label}, ours, needs no diffusion model; its robust accuracy against {versus}; clean {clean}."


def _imported(results: GridResults, imported: CellResult) -> str:
    """How targets that somebody else computed, which no order of the paper covers, stand to vanilla and to SBG."""
    others = [cell for cell in (results.vanilla, results.score_based) if cell is not None]
    if not others:
        return ""
    stands = "; it is ".join(_compared(results, imported, other) for other in others)
    clean = percent(imported.evaluation.clean.value)
    return f"{imported.label}, trained with imported targets, is {stands}; clean {clean}."


def _overlap(a: Estimate, b: Estimate) -> bool:
    return a.interval[1] >= b.interval[0] and b.interval[1] >= a.interval[0]


def _monotone(results: GridResults) -> str:
    """Whether robust accuracy and alignment grow with λ (section 5.4)."""
    sweep = results.by_lambda
    if len(sweep) < 2:
        return ""
    lambdas = [lambda_ for lambda_, _ in sweep]
    curves = [
        (f"robust accuracy in {name}", [_robust(cell, threat).value for _, cell in sweep], True)
        for threat, name in results.threat_names.items()
    ]
    curves.append(("alignment", [cell.alignment.value for _, cell in sweep], False))
    courses = [_course(name, lambdas, values, in_percent) for name, values, in_percent in curves]
    return f"As λ goes from {lambdas[0]:g} to {lambdas[-1]:g}: {'; '.join(courses)}."


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


def _adversarial(results: GridResults, at: CellResult) -> str:
    """How adversarial training stands to SBG, in robustness and in alignment: it may have more of one and less of the other."""
    score = results.score_based
    if score is None:
        return ""
    cosines = f"({at.alignment.value:.3f} against {score.alignment.value:.3f})"
    less = at.alignment.value < score.alignment.value
    stands = f"{at.label} is {_compared(results, at, score)}, with {'less' if less else 'no less'} aligned gradients {cosines}"
    more = any(_robust(at, t).value > _robust(score, t).value for t in results.threats)
    return stands + ("; so alignment alone does not order robustness." if less and more else ".")


def _compared(results: GridResults, a: CellResult, b: CellResult) -> str:
    """`more robust than SBG in L₂ (60.0% against 50.0%) but not more robust than SBG in L∞ (…)`."""
    names = results.threat_names
    more = [threat for threat in names if _robust(a, threat).value > _robust(b, threat).value]
    rest = [threat for threat in names if threat not in more]
    parts = [
        f"{word} robust than {b.label} in {_joined([_against(a, b, threat, names[threat]) for threat in group])}"
        for word, group in (("more", more), ("not more", rest))
        if group
    ]
    price = cost(a, b) if more else ""
    return " but ".join(parts) + (f", at the price of {price}" if price else "")


def _under_each(results: GridResults, a: CellResult, b: CellResult) -> str:
    return _joined([_against(a, b, threat, name) for threat, name in results.threat_names.items()])


def _against(a: CellResult, b: CellResult, threat: str, name: str) -> str:
    return f"{name} ({percent(_robust(a, threat).value)} against {percent(_robust(b, threat).value)})"


def _pairs(results: GridResults, all_or_some: str) -> str:
    """In how many pairs of networks the one with better aligned gradients is the more robust."""
    pairs = list(combinations(results.cells, 2))
    if not pairs:
        return ""
    counts = [
        f"{sum(_agree(a, b, threat) for a, b in pairs)} of {len(pairs)} pairs in {name}"
        for threat, name in results.threat_names.items()
    ]
    return f"Among {all_or_some} {len(results.cells)} networks the better aligned one is the more robust in {_joined(counts)}."


def _agree(a: CellResult, b: CellResult, threat: str) -> bool:
    return (a.alignment.value - b.alignment.value) * (_robust(a, threat).value - _robust(b, threat).value) > 0
