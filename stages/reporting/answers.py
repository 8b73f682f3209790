"""The answer for one data set and architecture: what a reader of the page sees first."""

from collections.abc import Mapping

from pag.page.report import Answer, Findings, Picture
from stages.params.evaluation import EvaluationParams
from stages.params.reading import Params
from stages.paths import DatasetPaths
from stages.reporting.beyond import beyond_paper
from stages.reporting.explorers import EXPLORER, read_explorer
from stages.reporting.findings import findings
from stages.reporting.methods import MethodResults
from stages.reporting.pictures import PICTURE, read_picture
from stages.reporting.sections import BEYOND, LAMBDA, ROBUSTNESS, place_suffix
from stages.reporting.tables import methods_table

__all__ = ["answer"]

UNTOLD = "This grid cannot say: an answer takes vanilla, and a method that aligns gradients."
SHOWN: Mapping[str, str] = {
    "The paper's order": ROBUSTNESS,
    "The weight λ": LAMBDA,
    "Adversarial training": ROBUSTNESS,
    "Beyond the paper": BEYOND,
    "Alignment and robustness": ROBUSTNESS,
    "Cost": ROBUSTNESS,
}  # which section shows what the findings of a topic speak of


def answer(params: Params, results: MethodResults) -> Answer:
    """The verdict, the picture, the table of all methods, and the findings by topic, each with the section that shows it."""
    found, suffix = findings(params, results), place_suffix(params, results)
    ours = beyond_paper(params, results)
    sections = {BEYOND} if ours else set()
    sections |= {ROBUSTNESS} | ({LAMBDA} if len(results.by_lambda) > 1 else set())
    groups = [
        Findings(title, tuple(sentences), f"{SHOWN[title]}{suffix}" if SHOWN.get(title) in sections else "")
        for title, sentences in found.groups.items()
    ]
    return Answer(
        f"{results.dataset}, {results.architecture}",
        found.verdict or UNTOLD,
        found.basis,
        _picture(params, results),
        methods_table(results, ours),
        tuple(groups),
        read_explorer(DatasetPaths(results.dataset).figures(results.architecture) / EXPLORER),
    )


def _picture(params: Params, results: MethodResults) -> Picture | None:
    targeted = params.dataset(results.dataset).read("evaluation", EvaluationParams).targeted
    return read_picture(DatasetPaths(results.dataset).figures(results.architecture) / PICTURE, targeted)
