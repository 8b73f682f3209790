"""The answer for one data set and architecture: what a reader of the page sees first."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pag.figures.names import eps_text, norm_name
from pag.page.report import Answer, Findings, Picture, anchor
from stages.params.evaluation import EvaluationParams
from stages.params.reading import Params
from stages.paths import DatasetPaths
from stages.reporting.beyond import beyond_paper
from stages.reporting.explorers import EXPLORER, read_explorer
from stages.reporting.findings import findings
from stages.reporting.methods import MethodResults
from stages.reporting.pictures import PICTURE, read_picture
from stages.reporting.tables import methods_table

__all__ = ["answer"]

UNTOLD = "This grid cannot say: an answer takes vanilla and a method that aligns gradients."
ALIGNMENT, COST, LAMBDA = "robustness-alignment", "cost", "lambda"
CHARTS: Mapping[str, str] = {
    ALIGNMENT: "robust accuracy against alignment",
    COST: "robust accuracy against cost",
    LAMBDA: "accuracy and alignment by λ",
}  # by their names among the figures
SHOWN: Mapping[str, str] = {
    "The paper's order": ALIGNMENT,
    "The weight λ": LAMBDA,
    "Adversarial training": ALIGNMENT,
    "Beyond the paper": COST,
    "Alignment and robustness": ALIGNMENT,
    "Cost": COST,
}  # which chart shows what the findings of a topic speak of


def answer(params: Params, results: MethodResults) -> Answer:
    """The verdict, the picture, the table of all methods, and the findings by topic, each with the chart that shows it."""
    found, folder = findings(params, results), DatasetPaths(results.dataset).figures(results.architecture)
    return Answer(
        f"{results.dataset}, {results.architecture}",
        found.verdict or UNTOLD,
        found.basis,
        _picture(params, results),
        methods_table(results, beyond_paper(params, results)),
        tuple(_findings(title, sentences, folder) for title, sentences in found.groups.items()),
        read_explorer(folder / EXPLORER),
    )


def _findings(title: str, sentences: Sequence[str], folder: Path) -> Findings:
    """With the chart of the topic, where it was drawn."""
    chart = SHOWN.get(title, "")
    file = folder / f"{chart}.png"
    if not chart or not file.exists():
        return Findings(title, tuple(sentences))
    return Findings(title, tuple(sentences), CHARTS[chart], anchor(str(file)))


def _picture(params: Params, results: MethodResults) -> Picture | None:
    """None where the grid has nothing to show."""
    path = DatasetPaths(results.dataset).figures(results.architecture) / PICTURE
    if not path.exists():
        return None
    targeted = params.dataset(results.dataset).read("evaluation", EvaluationParams).targeted
    caption = (
        f"A test image, pulled toward each class by a targeted attack with large ε ({norm_name(targeted.norm)}, "
        f"ε = {eps_text(targeted.eps)}). A network with perceptually aligned gradients (PAG) draws the target class; vanilla adds "
        "noise."
    )
    return read_picture(path, caption, "pulled toward")
