"""The report's tables: in the form of the paper's, with intervals, and what the paper does not have."""

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from pag.evaluation.metrics import Attacked, Metrics
from pag.evaluation.sanity import kind_of
from pag.evaluation.seeds import Repeated
from pag.figures.names import attack_name, eps_text, norm_name, percent, points
from pag.page.report import Column, Entry, Table
from stages.params.evaluation import EvaluationParams
from stages.reporting.costs import priced, relative_cost, times_text
from stages.reporting.glossary import term_of
from stages.reporting.methods import MethodResult, MethodResults, seeds_text

__all__ = [
    "checks_tables",
    "difference_entry",
    "differences_tables",
    "lambda_table",
    "methods_table",
    "other_attacks_tables",
    "runs_tables",
    "toy_table",
    "validation_table",
    "with_sd",
]

Measured = Callable[[MethodResult], Repeated]
Written = Callable[[float], str]


def _columns(results: MethodResults) -> dict[str, tuple[Column, Measured, Written]]:
    """Clean, AutoAttack by threat, alignment, by their dotted names: the heads, what they measure and how it is written."""
    first, suite = results.methods[0], "Substitute" if results.substitutes else "AA"
    attacked = {
        f"autoattack.{threat}": (
            Column(f"{suite} {norm_name(a.norm)}", f"ε = {eps_text(a.eps)}\nn = {a.n}"), _under(threat), percent,
        )
        for threat, a in results.threats.items()
    }  # fmt: skip
    clean = (Column("Clean", f"n = {first.clean.n}"), lambda method: method.clean, percent)
    alignment = (Column("Alignment", f"cosine\nn = {first.alignment.n}"), lambda method: method.alignment, _cosine)
    return {"clean": clean, **attacked, "alignment": alignment}


def _under(threat: str) -> Measured:
    return lambda method: method.robust(threat)


def _cosine(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _measured_table(
    results: MethodResults,
    head: str,
    names: Sequence[Entry],
    methods: Sequence[MethodResult],
    caption: str,
    priced_too: bool = False,
) -> Table:
    columns = _columns(results)
    by_column = [
        _entries(measured, methods, [measure(method) for method in methods], written)
        for measured, (_, measure, written) in columns.items()
    ]
    heads = [Column(head), *(column for column, _, _ in columns.values())]
    if priced_too and priced(results):
        by_column.append([_cost_entry(results, method) for method in methods])
        heads.append(Column("Training", "vanilla = 1\npasses"))
    return Table(caption, tuple(heads), tuple(zip(names, *by_column, strict=True)), sortable=True)


def _entries(name: str, methods: Sequence[MethodResult], measures: Sequence[Repeated], written: Written) -> list[Entry]:
    """A measure of each method; what a failed check spoils is marked, and is not the best."""
    doubts = [", ".join(method.doubts(name)) for method in methods]
    best = max((m.value for m, doubt in zip(measures, doubts, strict=True) if not doubt), default=None)
    return [
        Entry(with_sd(m, written), _interval(m, written), not doubt and m.value == best, doubt)
        for m, doubt in zip(measures, doubts, strict=True)
    ]


def with_sd(measure: Repeated, written: Written) -> str:
    """`34.2% ± 0.8` of several runs, `34.2%` of one."""
    text = written(measure.value)
    return text if measure.sd is None else f"{text} ± {written(measure.sd).removesuffix('%')}"


def _interval(measure: Repeated, written: Written) -> str:
    low, high = measure.interval
    return f"[{written(low)}, {written(high)}]".replace("%", "")


def _cost_entry(results: MethodResults, method: MethodResult) -> Entry:
    """What training cost: in units of vanilla's, in forward passes, and in the seconds of the last time that it was done."""
    if method.forwards is None:
        return Entry("–")
    ratio, passes = relative_cost(results, method), f"{method.forwards:.2g}".replace("e+0", "e")
    stages = tuple(f"train@{cell.name}" for cell in method.cells)
    return Entry(passes if ratio is None else times_text(ratio), passes, timed=stages)


def methods_table(results: MethodResults, ours: Sequence[MethodResult]) -> Table:
    """Every method with its name in full, in the form of the paper's Table 1, with intervals, alignment and cost.

    Args:
        results: of all methods.
        ours: those that are not the paper's, which are marked.
    """
    caption = (
        f"In the format of the paper's {_paper_tables(results)}: accuracy on {results.dataset} with {results.architecture}, clean "
        f"and under {results.suite}, and alignment. {_numbers_note(results)} Bold: best in column."
        f"{_substitutes_note(results)}"
    )
    names = [_method_entry(method, method in ours) for method in results.methods]
    return _measured_table(results, "Method", names, results.methods, caption, priced_too=True)


def _method_entry(method: MethodResult, ours: bool) -> Entry:
    """The name in full with its label, and below it what it means."""
    term, lambda_ = term_of(method.label), f", λ = {method.lambda_:g}" if method.lambda_ else ""
    label = method.label if term is None or term.name == method.label else f"{term.name} ({method.label})"
    meaning = [*(["Not in the paper."] if ours else []), *([] if term is None else [term.meaning])]
    return Entry(f"{label}{lambda_}", note=" ".join(meaning))


def _numbers_note(results: MethodResults) -> str:
    """What stands in an entry of a table: how many runs, and what brackets mean."""
    confidence = f"{100 * results.confidence:g}% confidence interval"
    if not results.several:
        return f"In brackets: {confidence}; {seeds_text(results)}."
    return f"Mean ± standard deviation over {seeds_text(results)}; in brackets: {confidence} of a single run."


def differences_tables(results: MethodResults) -> list[Table]:
    """Robust accuracy less vanilla's and less that of score-based targets, paired; none where neither is in the grid."""
    references = [method for method in (results.vanilla, results.score_based) if method is not None]
    methods = [method for method in results.methods if method not in references[:1]]
    if not references or not methods:
        return []
    pairs = [(threat, name, other) for threat, name in results.main_threats.items() for other in references]
    heads = [Column("Method"), *(Column(f"minus {other.label}", name) for _, name, other in pairs)]
    rows = [
        (Entry(method.label), *(difference_entry(results, method, other, threat) for threat, _, other in pairs))
        for method in methods
    ]
    over = "seeds and images, both resampled" if results.several else "images"
    caption = (
        f"Differences in robust accuracy under {results.suite}, in percentage points, paired image by image; in brackets: "
        f"{100 * results.confidence:g}% interval of the difference over {over}. Bold: it excludes 0; otherwise inconclusive."
    )
    return [Table(caption, tuple(heads), tuple(rows))]


def difference_entry(results: MethodResults, a: MethodResult, b: MethodResult, threat: str) -> Entry:
    """`+5.8 [1.7, 9.9]`, bold where the interval leaves out 0; a dash where nothing is paired."""
    difference = None if a is b else results.difference(a, b, threat)
    if difference is None:
        return Entry("–")
    low, high = map(points, difference.interval)
    doubt = ", ".join(dict.fromkeys((*a.doubts(f"autoattack.{threat}"), *b.doubts(f"autoattack.{threat}"))))
    return Entry(points(difference.value), f"[{low}, {high}]", bool(difference.sign) and not doubt, doubt)


def _substitutes_note(results: MethodResults) -> str:
    """Says so where AutoAttack is not the standard version, which needs four classes."""
    names = [attack.upper() for attack in results.substitutes]
    return f" AutoAttack needs four classes: {names[0]} takes APGD-T's place." if names else ""


def _paper_tables(results: MethodResults) -> str:
    return "Table 1" if len(results.main_threats) == len(results.threats) else "Tables 1 and 3"


def other_attacks_tables(results: MethodResults, evaluation: EvaluationParams) -> list[Table]:
    """The paper's Table 6, and PGD with restarts; none where neither was asked for."""
    first, pgd = results.methods[0].first, evaluation.pgd
    starts = f"PGD, {pgd.steps} steps, {pgd.restarts} starts" if pgd else ""
    of_pgd = {f"pgd.{threat}": starts for threat in first.pgd}
    names = of_pgd | {f"foolbox.{attack}": attack_name(attack) for attack in first.foolbox}
    rows = [_attack_row(name, words, results.methods) for name, words in names.items()]
    if not rows:
        return []
    heads = (Column("Attack"), *(Column(method.label) for method in results.methods))
    table_6 = "In the format of the paper's Table 6 (which gives no ε; those of Foolbox's attacks are ours): accuracy"
    caption = (
        f"{table_6 if first.foolbox else 'Accuracy'} under other attacks, each run on its own. L₀ counts the changed "
        "entries of an image. Brackets as above; bold: best in row."
    )
    return [Table(caption, heads, tuple(rows))]


def _attack_row(name: str, words: str, methods: Sequence[MethodResult]) -> tuple[Entry, ...]:
    first = methods[0].first.measures[name]
    assert isinstance(first, Attacked)
    head = Entry(words, f"{norm_name(first.norm)}, ε = {eps_text(first.eps)}, n = {first.n}")
    return (head, *_entries(name, methods, [method.measures[name] for method in methods], percent))


def checks_tables(methods: Sequence[MethodResult]) -> list[Table]:
    """The checks that failed, with what they mean; none where all passed, or none was made."""
    rows = [
        (
            Entry(method.label, f"seeds {seeds}" if len(method.runs) > 1 else ""),
            Entry(name),
            Entry(kind_of(name).meaning),
            Entry(f"{check.value:.3g}"),
            Entry(f"{check.bar:.3g}"),
        )
        for method in methods
        for seeds, sanity in method.checks
        for name, check in sanity.items()
        if not check.passed
    ]
    heads = ("Method", "Check", "What is measured", "Value", "Threshold")
    caption = (
        "Evaluation checks that failed (docs/sanity.md). The numbers they make unreliable are marked ✗ and, on the page, red; "
        "findings do not count those networks."
    )
    return [Table(caption, tuple(map(Column, heads)), tuple(rows))] if rows else []


def runs_tables(results: MethodResults) -> list[Table]:
    """The numbers of each run, where a method has several: how far apart its seeds are."""
    if not results.several:
        return []
    columns = _columns(results)
    rows = [
        (
            Entry(method.label),
            Entry(", ".join(map(str, evaluation.seeds))),
            *(_run_entry(evaluation, name, written) for name, (_, _, written) in columns.items()),
        )
        for method in results.methods
        for evaluation in method.evaluations
    ]
    heads = [Column("Method"), Column("Seeds"), *(column for column, _, _ in columns.values())]
    caption = (
        f"Spread over seeds: the numbers of every run; in brackets: {100 * results.confidence:g}% confidence interval."
    )
    return [Table(caption, tuple(heads), tuple(rows), sortable=True)]


def _run_entry(evaluation: Metrics, measure: str, written: Written) -> Entry:
    value, low, high = map(written, evaluation.measures[measure].triple)
    return Entry(value, f"[{low}, {high}]".replace("%", ""), doubt=", ".join(evaluation.doubts(measure)))


def lambda_table(results: MethodResults) -> Table:
    """The numbers of the paper's figure 5."""
    rows = results.by_lambda
    caption = (
        "The numbers of the paper's Figure 5: SBG by λ. λ = 0 is vanilla. Entries as in the table of methods; bold: best in "
        "column."
    )
    names = [Entry(f"{lambda_:g}") for lambda_, _ in rows]
    return _measured_table(results, "λ", names, [method for _, method in rows], caption)


def validation_table(results: MethodResults) -> Table:
    """Accuracies on the validation split, which hyperparameters are chosen by."""
    keys = list(dict.fromkeys(key for method in results.methods for key in method.validation))
    rows = [
        (
            Entry(method.label),
            *(_validation_entry(key, method.validation.get(key, ())) for key in keys),
        )
        for method in results.methods
    ]
    heads = [Column(_validation_head(key)) for key in keys]
    caption = (
        "Results on the validation split; hyperparameters are chosen on it, never on the test set. Cosine: with the targets that "
        f"the method itself learns from.{' Mean ± standard deviation over the runs.' if results.several else ''}"
    )
    return Table(caption, (Column("Method"), *heads), tuple(rows))


def _validation_head(key: str) -> str:
    attack, _, norm = key.rpartition("_")
    return f"{attack.replace('_', '-').upper()} {norm_name(norm)}" if attack in ("pgd", "apgd_t") else key.capitalize()


def _validation_entry(key: str, values: Sequence[float]) -> Entry:
    if not values:
        return Entry("–")
    written = _cosine if key == "cosine" else percent
    sd = f" ± {written(stdev(values)).removesuffix('%')}" if len(values) > 1 else ""
    return Entry(written(fmean(values)) + sd)


def toy_table(toy: dict[str, dict[str, dict[str, float]]], paper: dict[str, float], names: dict[str, str]) -> Table:
    """Both networks of the toy, mean ± standard deviation over the pairs, beside the paper's numbers (section 5.1).

    Args:
        toy: `metrics.json` of the toy.
        paper: the paper's accuracy under attack, by the network's name.
        names: of the networks, by their keys in `toy`.
    """
    rows = [
        (Entry(name), *(_spread(toy[kind][key]) for key in ("clean", "robust")), Entry(percent(paper[name])))
        for kind, name in names.items()
    ]
    heads = (
        Column("Network"),
        Column("Clean"),
        Column("Under attack"),
        Column("Under attack", "the paper's, one pair"),
    )
    return Table("Accuracy on the toy, mean ± standard deviation over the pairs (section 5.1).", heads, tuple(rows))


def _spread(values: dict[str, float]) -> Entry:
    return Entry(f"{percent(values['mean'])} ± {100 * values['std']:.1f}")
