"""The report's sections: tables in the form of the paper's, and figures with captions that name the paper's."""

from collections.abc import Sequence

from pag.page.report import Column, Entry, Section, Table
from stages.params.evaluation import EvaluationParams, ReferenceParams
from stages.params.grid import read_grid, read_lambda
from stages.params.methods import describe
from stages.params.reading import Params
from stages.reporting.ablations import ablation_tables
from stages.reporting.beyond import beyond_notes, beyond_paper
from stages.reporting.costs import priced
from stages.reporting.gallery import Gallery
from stages.reporting.methods import MethodResult, MethodResults
from stages.reporting.tables import (
    checks_tables,
    differences_tables,
    lambda_table,
    measured_table,
    numbers_note,
    other_attacks_tables,
    robustness_table,
    substitutes_note,
    validation_table,
)

__all__ = ["grid_sections", "lambda_section"]


def grid_sections(params: Params, results: MethodResults) -> list[Section]:
    """The sections of one data set and architecture."""
    gallery, grid = Gallery(params, results), read_grid(params)
    evaluation = params.dataset(results.dataset).read("evaluation", EvaluationParams)
    several = len(grid.datasets) * len(grid.architectures) > 1
    where = f": {results.dataset}, {results.architecture}" if several else ""
    beyond = beyond_paper(params, results)
    papers = [method for method in results.methods if method not in beyond]
    robustness = Section(
        f"Robustness{where}",
        (_alignment_note(evaluation.alignment), *_cost_notes(results)),
        (
            *([robustness_table(results, papers)] if papers else []),
            *differences_tables(results),
            *other_attacks_tables(results, evaluation),
            *checks_tables((*results.methods, *results.sweep)),
        ),
        (gallery.robustness_alignment(), *gallery.cost()),
        (gallery.attacks(),),
    )
    first, *more = gallery.targeted()
    seen = Section(f"What the networks see{where}", (), (), (first,), tuple(more))
    sections = [robustness, *beyond_sections(params, results, beyond, where), seen]
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


def beyond_sections(params: Params, results: MethodResults, ours: Sequence[MethodResult], where: str) -> list[Section]:
    """The methods that are not the paper's beside those that they are to be measured by; none where the grid has none."""
    if not ours:
        return []
    beside = (*results.of("vanilla", "score-based", "adversarial"), *ours)
    methods = [method for method in results.methods if method in beside]
    caption = (
        f"Not in the paper: accuracy on {results.dataset} with {results.architecture}, with the paper's methods to compare with. "
        f"{numbers_note(results)} Bold: the best of a column.{substitutes_note(results)}"
    )
    table = measured_table(results, "Method", [m.label for m in methods], methods, caption, priced_too=True)
    return [Section(f"Beyond the paper{where}", beyond_notes(ours), (table, *ablation_tables(params, results)))]


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


def _cost_notes(results: MethodResults) -> list[str]:
    """What the numbers of cost are, where there are any."""
    if not priced(results):
        return []
    return [
        "Training: what a network's training cost, counted in forward passes of one image (a backward pass is two; docs/cost.md), "
        "in units of vanilla's. Targets are not in it, nor the diffusion model that score-based ones need."
    ]
