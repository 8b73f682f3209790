"""The report's sections: tables in the form of the paper's, and figures with captions that name the paper's."""

from pag.page.report import Column, Entry, Section, Table
from stages.params.evaluation import EvaluationParams, ReferenceParams
from stages.params.grid import read_grid, read_lambda
from stages.params.methods import describe
from stages.params.reading import Params
from stages.reporting.ablations import ablation_tables
from stages.reporting.beyond import beyond_notes, beyond_paper
from stages.reporting.costs import priced
from stages.reporting.gallery import Gallery
from stages.reporting.methods import MethodResults
from stages.reporting.tables import (
    checks_tables,
    differences_tables,
    lambda_table,
    other_attacks_tables,
    runs_tables,
    validation_table,
)

__all__ = ["grid_sections", "lambda_section"]


def _place_suffix(params: Params, results: MethodResults) -> str:
    """What the titles of sections say of the data set and architecture, where the grid has several."""
    grid = read_grid(params)
    several = len(grid.datasets) * len(grid.architectures) > 1
    return f": {results.dataset}, {results.architecture}" if several else ""


def grid_sections(params: Params, results: MethodResults) -> list[Section]:
    """The sections of one data set and architecture."""
    gallery, where = Gallery(params, results), _place_suffix(params, results)
    evaluation = params.dataset(results.dataset).read("evaluation", EvaluationParams)
    robustness = Section(
        f"Robustness{where}",
        (_alignment_note(evaluation.alignment), *_cost_notes(results)),
        (
            *differences_tables(results),
            *other_attacks_tables(results, evaluation),
            *checks_tables((*results.methods, *results.sweep)),
            *runs_tables(results),
        ),
        charts=(gallery.robustness_alignment(), *gallery.cost(), *gallery.security(), gallery.attacks()),
    )
    first, *more = gallery.targeted()
    seen = Section(f"What the networks see{where}", (), (), (first,), tuple(more))
    sections = [robustness, *beyond_sections(params, results, where), seen]
    if len(results.by_lambda) > 1:
        images, charts = (gallery.lambda_targeted(),), (gallery.lambdas(),)
        sections.append(Section(f"Alignment by λ{where}", (), (lambda_table(results),), images, charts=charts))
    shown, folded = gallery.targets()
    training = (validation_table(results),)
    sections.append(Section(f"Target gradients{where}", (), (), shown, folded))
    sections.append(
        Section(
            f"Training{where}",
            (),
            training,
            (),
            (gallery.diffusion_samples(),),
            charts=(gallery.training(), gallery.diffusion_loss()),
        )
    )
    return sections


def _alignment_note(reference: ReferenceParams) -> str:
    gradient = reference.gradient.replace("_", "-")
    return (
        f"Alignment is the mean cosine between the input gradient of each class's {gradient} and the score-based gradient at "
        f"t = {reference.timestep} (averaged over {reference.draws} noise draws), over the test images and all classes. The paper "
        "judges alignment by eye; this number favours networks trained towards score-based gradients, its own reference."
    )


def beyond_sections(params: Params, results: MethodResults, where: str) -> list[Section]:
    """What the methods are that are not the paper's, and what their parts are worth; none where the grid has none."""
    ours = beyond_paper(params, results)
    return (
        [Section(f"Beyond the paper{where}", beyond_notes(ours), tuple(ablation_tables(params, results)))]
        if ours
        else []
    )


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
    caption = "In the format of the paper's Table 8: λ, the weight of the alignment term in eq. (4)."
    return Section("λ of each method", (), (Table(caption, (Column("Method"), *heads), tuple(rows)),))


def _cost_notes(results: MethodResults) -> list[str]:
    """What the numbers of cost are, where there are any."""
    if not priced(results):
        return []
    return [
        "Training: the cost of training a network, counted in forward passes of one image (a backward pass is two; docs/cost.md), "
        "relative to vanilla. Targets are not included, nor is the diffusion model that score-based ones need."
    ]
