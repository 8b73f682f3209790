"""The report's sections: tables in the form of the paper's, and figures with captions that name the paper's."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pag.attacks.autoattack_parts import SUBSTITUTES
from pag.base.errors import InputError
from pag.evaluation.metrics import Attacked, Estimate
from pag.evaluation.sanity import kind_of
from pag.figures.names import attack_name, eps_text, norm_name, percent
from pag.figures.page import Column, Entry, FigureEntry, Section, Table
from stages.params.evaluation import EvaluationParams, ReferenceParams
from stages.params.figures import FiguresParams
from stages.params.grid import read_grid, read_lambda
from stages.params.methods import describe
from stages.params.reading import Params
from stages.params.targets import TARGET, ScoreBasedParams
from stages.paths import DatasetPaths
from stages.reporting.results import CellResult, GridResults, aligned_sources

__all__ = ["grid_sections", "lambda_section", "toy_table"]

Measured = Callable[[CellResult], Estimate]
Written = Callable[[float], str]


def grid_sections(params: Params, results: GridResults) -> list[Section]:
    """The sections of one data set and architecture."""
    gallery, grid = _Gallery(params, results), read_grid(params)
    evaluation = params.dataset(results.dataset).read("evaluation", EvaluationParams)
    several = len(grid.datasets) * len(grid.architectures) > 1
    where = f": {results.dataset}, {results.architecture}" if several else ""
    robustness = Section(
        f"Robustness{where}",
        (_alignment_note(evaluation.alignment),),
        (
            robustness_table(results, evaluation.confidence),
            *other_attacks_tables(results, evaluation),
            *checks_tables((*results.cells, *results.sweep)),
        ),
        (gallery.robustness_alignment(),),
        (gallery.attacks(),),
    )
    first, *more = gallery.targeted()
    seen = Section(f"What the networks see{where}", (), (), (first,), tuple(more))
    sections = [robustness, seen]
    if len(results.by_lambda) > 1:
        images = (gallery.lambdas(), gallery.lambda_targeted())
        sections.append(Section(f"Alignment by λ{where}", (), (lambda_table(results),), images))
    shown, folded = gallery.targets()
    training = (validation_table(results),)
    sections.append(Section(f"Target gradients{where}", (), (), shown, folded))
    sections.append(Section(f"Training{where}", (), training, (gallery.training(),), gallery.diffusion()))
    return sections


def _alignment_note(reference: ReferenceParams) -> str:
    gradient = reference.gradient.replace("_", "-")
    return (
        f"Alignment is the mean cosine between the input gradient of each class's {gradient} and the score-based gradient at "
        f"t = {reference.timestep} (mean of {reference.draws} draws of noise), over the test images and all classes. The paper "
        "judges alignment by eye; this number favours networks trained towards score-based gradients, which it is measured by."
    )


def _columns(results: GridResults) -> dict[str, tuple[Column, Measured, Written]]:
    """Clean, AutoAttack by threat, alignment, by their dotted names: the heads, what they measure and how it is written."""
    first = results.cells[0]
    attacked = {
        f"autoattack.{threat}": (
            Column(f"AA {norm_name(a.norm)}", f"ε = {eps_text(a.eps)}\nn = {a.n}"), _under(threat), percent,
        )
        for threat, a in results.threats.items()
    }  # fmt: skip
    clean = (Column("Clean", f"n = {first.evaluation.clean.n}"), lambda cell: cell.evaluation.clean, percent)
    alignment = (Column("Alignment", f"cosine\nn = {first.alignment.n}"), lambda cell: cell.alignment, _cosine)
    return {"clean": clean, **attacked, "alignment": alignment}


def _under(threat: str) -> Measured:
    return lambda cell: cell.evaluation.autoattack[threat]


def _cosine(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _measured(
    results: GridResults, head: str, names: Sequence[str], cells: Sequence[CellResult], caption: str
) -> Table:
    columns = _columns(results)
    by_column = [
        _entries(measured, cells, [measure(cell) for cell in cells], written)
        for measured, (_, measure, written) in columns.items()
    ]
    rows = [(Entry(name), *entries) for name, *entries in zip(names, *by_column, strict=True)]
    return Table(caption, (Column(head), *(column for column, _, _ in columns.values())), tuple(rows))


def _entries(name: str, cells: Sequence[CellResult], measures: Sequence[Estimate], written: Written) -> list[Entry]:
    """A measure of each cell; what a failed check spoils is marked, and is not the best."""
    doubts = [", ".join(cell.evaluation.doubts(name)) for cell in cells]
    best = max((m.value for m, doubt in zip(measures, doubts, strict=True) if not doubt), default=None)
    return [
        Entry(written(m.value), _interval(m, written), not doubt and m.value == best, doubt)
        for m, doubt in zip(measures, doubts, strict=True)
    ]


def _interval(measure: Estimate, written: Written) -> str:
    low, high = measure.interval
    return f"[{written(low)}, {written(high)}]".replace("%", "")


def robustness_table(results: GridResults, confidence: float) -> Table:
    """The paper's Table 1, with intervals and alignment."""
    names = [cell.label for cell in results.cells]
    caption = (
        f"In the form of the paper's {_paper_tables(results)}: accuracy on {results.dataset} with {results.architecture}, clean "
        f"and under AutoAttack, and alignment. In brackets the {100 * confidence:g}% confidence interval; "
        f"bold: the best of a column.{_substitutes_note(results)}"
    )
    return _measured(results, "Method", names, results.cells, caption)


def _substitutes_note(results: GridResults) -> str:
    """Says so where AutoAttack is not the standard version, which needs four classes."""
    run = {attack for threat in results.threats.values() for attack in threat.attacks}
    names = [attack.upper() for attack in SUBSTITUTES.values() if attack in run]
    return (
        f" AA is not the standard version, which needs four classes: {names[0]} is in APGD-T's place." if names else ""
    )


def _paper_tables(results: GridResults) -> str:
    return "Table 1" if len(results.main_threats) == len(results.threats) else "Tables 1 and 3"


def other_attacks_tables(results: GridResults, evaluation: EvaluationParams) -> list[Table]:
    """The paper's Table 6, and PGD with restarts; none where neither was asked for."""
    evaluations, pgd = [cell.evaluation for cell in results.cells], evaluation.pgd
    starts = f"PGD, {pgd.steps} steps, {pgd.restarts} starts" if pgd else ""
    of_pgd = {f"pgd.{threat}": starts for threat in evaluations[0].pgd}
    names = of_pgd | {f"foolbox.{attack}": attack_name(attack) for attack in evaluations[0].foolbox}
    rows = [_attack_row(name, words, results.cells) for name, words in names.items()]
    if not rows:
        return []
    heads = (Column("Attack"), *(Column(cell.label) for cell in results.cells))
    table_6 = "In the form of the paper's Table 6 (which gives no ε; those of Foolbox's attacks are ours): accuracy"
    caption = (
        f"{table_6 if evaluations[0].foolbox else 'Accuracy'} under other attacks, each on its own. L₀ counts changed entries of "
        "an image. Brackets as above; bold: the best of a row."
    )
    return [Table(caption, heads, tuple(rows))]


def _attack_row(name: str, words: str, cells: Sequence[CellResult]) -> tuple[Entry, ...]:
    measures = [cell.evaluation.measures[name] for cell in cells]
    first = measures[0]
    assert isinstance(first, Attacked)
    head = Entry(words, f"{norm_name(first.norm)}, ε = {eps_text(first.eps)}, n = {first.n}")
    return (head, *_entries(name, cells, measures, percent))


def checks_tables(cells: Sequence[CellResult]) -> list[Table]:
    """The checks that failed, with what they mean; none where all passed, or none was made."""
    rows = [
        (
            Entry(cell.label),
            Entry(name),
            Entry(kind_of(name).meaning),
            Entry(f"{check.value:.3g}"),
            Entry(f"{check.bar:.3g}"),
        )
        for cell in cells
        for name, check in cell.evaluation.sanity.items()
        if not check.passed
    ]
    heads = ("Method", "Check", "What is measured", "Value", "Bar")
    caption = (
        "Checks of the evaluations that failed (docs/sanity.md). The numbers that they spoil are marked ✗ and, on the page, red; "
        "findings do not count those networks."
    )
    return [Table(caption, tuple(map(Column, heads)), tuple(rows))] if rows else []


def lambda_table(results: GridResults) -> Table:
    """The numbers of the paper's figure 5."""
    rows = results.by_lambda
    caption = "The numbers of the paper's Figure 5: SBG by λ. λ = 0 is vanilla. Bold: the best of a column."
    return _measured(results, "λ", [f"{lambda_:g}" for lambda_, _ in rows], [cell for _, cell in rows], caption)


def validation_table(results: GridResults) -> Table:
    """Accuracies on the validation split, which hyperparameters are chosen by."""
    keys = list(dict.fromkeys(key for cell in results.cells for key in cell.validation))
    rows = [
        (
            Entry(cell.label),
            *(_validation_entry(key, cell.validation.get(key)) for key in keys),
        )
        for cell in results.cells
    ]
    heads = [Column(_validation_head(key)) for key in keys]
    caption = (
        "On the validation split: what hyperparameters are chosen by, never the test set. Cosine: with the targets that the "
        "method itself learns from."
    )
    return Table(caption, (Column("Method"), *heads), tuple(rows))


def _validation_head(key: str) -> str:
    return (
        f"PGD {norm_name(key.removeprefix('pgd_'))}" if key.startswith("pgd_") else key.replace("_", " ").capitalize()
    )


def _validation_entry(key: str, value: float | None) -> Entry:
    if value is None:
        return Entry("–")
    return Entry(_cosine(value) if key == "cosine" else percent(value))


def lambda_section(params: Params) -> Section:
    """λ of each aligned method, the paper's Table 8."""
    grid = read_grid(params)
    cells = [(d, a) for d in grid.datasets for a in grid.architectures]
    labels = {method: describe(params, d, method).label for d, _ in cells for method in grid.aligned}
    rows = [
        (Entry(label), *(Entry(f"{read_lambda(params, d, a, method):g}") for d, a in cells))
        for method, label in labels.items()
    ]
    heads = [Column(dataset, architecture) for dataset, architecture in cells]
    caption = "In the form of the paper's Table 8: λ, the weight of the alignment term in eq. (4)."
    return Section("λ of each method", (), (Table(caption, (Column("Method"), *heads), tuple(rows)),))


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


class _Gallery:
    """The PNGs that `visualize` drew of one data set and architecture, with their captions."""

    def __init__(self, params: Params, results: GridResults) -> None:
        file, self._results = params.dataset(results.dataset), results
        self._targeted = file.read("evaluation", EvaluationParams).targeted
        self._images = file.read("figures", FiguresParams).images
        self._targets = {name: file.read(f"targets.{name}", TARGET) for name in file.content["targets"]}
        self._folder = DatasetPaths(results.dataset).figures(results.architecture)
        self._sources = aligned_sources(params, results.dataset)
        self._names = ", ".join(cell.label for cell in results.cells)

    def _entry(self, name: str, caption: str, alt: str) -> FigureEntry:
        return FigureEntry(read_png(self._folder / f"{name}.png"), caption, alt)

    def _several(self, stem: str, asked: int, caption: str, alt: str, least: int = 1) -> tuple[FigureEntry, ...]:
        """A figure for each input: of as many as were asked for, or as there are classes."""
        drawn = sum((self._folder / f"{stem}-{i}.png").exists() for i in range(asked))
        count = max(least, drawn)
        return tuple(self._entry(f"{stem}-{i}", caption, f"{alt} Input {i + 1} of {count}.") for i in range(count))

    def robustness_alignment(self) -> FigureEntry:
        caption = (
            "Robust accuracy against alignment, with confidence intervals (section 5.4 asks for their correlation)."
        )
        return self._entry("robustness-alignment", caption, f"Scatter plots, a point for each of {self._names}.")

    def attacks(self) -> FigureEntry:
        caption = "Accuracy that is left after each attack of AutoAttack, which are run one after the other."
        return self._entry("attacks", caption, f"Bars for each of {self._names}.")

    def targeted(self) -> tuple[FigureEntry, ...]:
        """Figures 1, 2 and 9."""
        t = self._targeted
        probabilities = [cell.target_probability for cell in self._results.cells]
        caption = (
            f"As in the paper's Figures 1, 2 and 9: test images after a targeted attack of large ε ({norm_name(t.norm)}, "
            f"ε = {eps_text(t.eps)}, {t.steps} steps) towards each class. A network with aligned gradients draws the class. The "
            f"mean probability of the target class afterwards is {min(probabilities):.2f} to {max(probabilities):.2f} by network."
        )
        alt = f"Grid of images: a row for each of {self._names}; a column for each target class; robust accuracies at the right."
        return self._several("targeted", t.images, caption, alt)

    def lambdas(self) -> FigureEntry:
        caption = "The numbers of the paper's Figure 5: accuracy and alignment by λ, with confidence intervals."
        return self._entry("lambda", caption, "Curves of clean accuracy, robust accuracies and alignment against λ.")

    def lambda_targeted(self) -> FigureEntry:
        caption = "The images of the paper's Figure 5: the same targeted attack on networks of growing λ."
        alt = "Grid of images: a row for each λ, a column for each target class, robust accuracies at the right."
        return self._entry("lambda-targeted", caption, alt)

    def targets(self) -> tuple[tuple[FigureEntry, ...], tuple[FigureEntry, ...]]:
        """Figures 7 and 8: one of each, and the others."""
        drawn = [(label, self._targets[name]) for name, label in self._sources.items()]
        of_scores = {label: target for label, target in drawn if isinstance(target, ScoreBasedParams)}
        timestep = "".join(f" {label} at t = {target.timestep}." for label, target in of_scores.items())
        in_part = [target for target in of_scores.values() if target.classes_per_image is not None]
        sources = self._several(
            "targets-by-source",
            self._images if self._sources else 0,
            "As in the paper's Figure 7: target gradients at a training image by source (without its last row, an AT network)."
            + timestep,
            "Grid of target gradients: a row for each source, a column for each target class.",
            least=1 if len(in_part) < len(drawn) else 0,  # stores of a few classes an image are not drawn
        )
        timesteps = self._several(
            "targets-by-timestep",
            self._images,
            "As in the paper's Figure 8: score-based gradients at a training image by the timestep t of the diffusion.",
            "Grid of score-based gradients: a row for each timestep, a column for each target class.",
        )
        return (*sources[:1], *timesteps[:1]), (*sources[1:], *timesteps[1:])

    def training(self) -> FigureEntry:
        caption = (
            "Training: cross-entropy and cosine with the targets, then accuracy and cosine on the validation split. The "
            "cross-entropy of an adversarial method is at perturbed images."
        )
        return self._entry("training", caption, f"Curves by epoch for each of {self._names}.")

    def diffusion(self) -> tuple[FigureEntry, ...]:
        """Loss and samples of the diffusion model."""
        loss = self._entry(
            "diffusion-loss", "The diffusion model's training loss.", "Curve of the loss by training step."
        )
        caption = "Samples of the diffusion model, a row for each class (section 4.2)."
        return loss, self._entry("diffusion-samples", caption, "Grid of generated images.")


def read_png(path: Path) -> bytes:
    """The bytes of a figure.

    Raises:
        InputError: it is missing.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run `pag visualize` again.") from None
