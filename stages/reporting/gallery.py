"""The charts and grids of images that `visualize` drew, with captions that name the paper's figures."""

from pag.figures.names import SHORT, eps_text, norm_name
from pag.page.report import Chart, Picture
from stages.params.evaluation import EvaluationParams
from stages.params.figures import FiguresParams
from stages.params.reading import Params
from stages.params.targets import TARGET, ScoreBasedParams
from stages.paths import DatasetPaths
from stages.reporting.charts import read_chart
from stages.reporting.costs import priced
from stages.reporting.methods import MethodResults
from stages.reporting.pictures import SAMPLES, read_picture
from stages.reporting.results import aligned_sources

__all__ = ["Gallery"]

PULLED, GRADIENT = "pulled toward", "gradient toward"  # each class


class Gallery:
    """What `visualize` drew of one data set and architecture, with captions."""

    def __init__(self, params: Params, results: MethodResults) -> None:
        file, self._results = params.dataset(results.dataset), results
        self._targeted = file.read("evaluation", EvaluationParams).targeted
        self._images = file.read("figures", FiguresParams).images
        self._targets = {name: file.read(f"targets.{name}", TARGET) for name in file.content["targets"]}
        self._folder = DatasetPaths(results.dataset).figures(results.architecture)
        self._sources = aligned_sources(params, results.dataset)
        self._names = ", ".join(method.label for method in results.methods)

    def _picture(self, name: str, caption: str, above: str) -> Picture:
        return read_picture(self._folder / f"{name}.json", caption, above, self._folder / f"{name}.png")

    def _chart(self, name: str, caption: str, alt: str) -> Chart:
        return read_chart(self._folder, name, caption, alt)

    def _several(self, stem: str, asked: int, caption: str, above: str, least: int = 1) -> tuple[Picture, ...]:
        """A picture for each input: of as many as were asked for, or as there are classes."""
        drawn = sum((self._folder / f"{stem}-{i}.json").exists() for i in range(asked))
        return tuple(self._picture(f"{stem}-{i}", caption, above) for i in range(max(least, drawn)))

    def robustness_alignment(self) -> Chart:
        correlation = "section 5.4 asks for their correlation"
        caption = (
            f"Robust accuracy against alignment, with {self._bars} ({correlation}).{self._doubts}{self._abbreviations}"
        )
        return self._chart("robustness-alignment", caption, f"Scatter plots, a point for each of {self._names}.")

    @property
    def _abbreviations(self) -> str:
        """What the short names at points stand for, where there are any."""
        labels = [method.label for method in self._results.methods]
        used = [f"{short} = {words}" for words, short in SHORT.items() if any(words in label for label in labels)]
        return f" Abbreviations: {', '.join(used)}." if used else ""

    @property
    def _doubts(self) -> str:
        """What hollow points are, where there are any."""
        spoilt = any(method.failed for method in self._results.methods)
        return " Hollow points marked ✗: a failed check makes the number unreliable." if spoilt else ""

    @property
    def _bars(self) -> str:
        """What error bars are."""
        return "standard deviations between runs" if self._results.several else "confidence intervals"

    def cost(self) -> tuple[Chart, ...]:
        """Robust accuracy over what training cost; none where fewer than two methods say it."""
        known = priced(self._results)
        if len(known) < 2:
            return ()
        caption = (
            f"Robust accuracy against training cost, with {self._bars}. The line is the Pareto front: no other method is both as "
            f"cheap and as robust. The cost of targets is not included.{self._doubts}{self._abbreviations}"
        )
        names = ", ".join(method.label for method in known)
        return (
            self._chart("cost", caption, f"Scatter plots with a logarithmic cost axis, a point for each of {names}."),
        )

    def attacks(self) -> Chart:
        runs = " Means over the runs." if self._results.several else ""
        caption = (
            f"Accuracy left after each attack of {self._results.suite}, run one after another; the visible part of a bar is what "
            f"the next attacks took.{runs}{self._abbreviations}"
        )
        return self._chart("attacks", caption, f"Bars for each of {self._names}.")

    def targeted(self) -> tuple[Picture, ...]:
        """Figures 1, 2 and 9."""
        t = self._targeted
        probabilities = [run.target_probability for method in self._results.methods for run in method.runs]
        caption = (
            f"As in the paper's Figures 1, 2 and 9: test images after a targeted attack with large ε ({norm_name(t.norm)}, "
            f"ε = {eps_text(t.eps)}, {t.steps} steps) towards each class. A network with aligned gradients draws the class. "
            f"The target class's mean probability afterwards is {min(probabilities):.2f} to {max(probabilities):.2f}, by network."
            f"{' Images are from the first seed, numbers from all.' if self._results.several else ''}"
        )
        return self._several("targeted", t.images, caption, PULLED)

    def lambdas(self) -> Chart:
        caption = f"The numbers of the paper's Figure 5: accuracy and alignment by λ, with {self._bars}."
        return self._chart("lambda", caption, "Curves of clean accuracy, robust accuracies and alignment against λ.")

    def lambda_targeted(self) -> Picture:
        caption = "The images of the paper's Figure 5: the same targeted attack on networks of increasing λ."
        return self._picture("lambda-targeted", caption, PULLED)

    def targets(self) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
        """Figures 7 and 8: one of each, and the others."""
        drawn = [(label, self._targets[name]) for name, label in self._sources.items()]
        of_scores = {label: target for label, target in drawn if isinstance(target, ScoreBasedParams)}
        timestep = "".join(f" {label} at t = {target.timestep}." for label, target in of_scores.items())
        in_part = [target for target in of_scores.values() if target.classes_per_image is not None]
        sources = self._several(
            "targets-by-source",
            self._images if self._sources else 0,
            "As in the paper's Figure 7: target gradients at a training image, by source (without its last row, an AT network)."
            + timestep,
            GRADIENT,
            least=1 if len(in_part) < len(drawn) else 0,  # stores of a few classes an image are not drawn
        )
        timesteps = self._several(
            "targets-by-timestep",
            self._images,
            "As in the paper's Figure 8: score-based gradients at a training image, by diffusion timestep t.",
            GRADIENT,
        )
        return (*sources[:1], *timesteps[:1]), (*sources[1:], *timesteps[1:])

    def training(self) -> Chart:
        caption = (
            "Training: cross-entropy and cosine with the targets, then accuracy and cosine on the validation split. For "
            "adversarial methods, the cross-entropy is on perturbed images."
            f"{' Means over the runs.' if self._results.several else ''}{self._abbreviations}"
        )
        return self._chart("training", caption, f"Curves by epoch for each of {self._names}.")

    def security(self) -> tuple[Chart, ...]:
        """Accuracy over ε; none where it was not measured."""
        if not self._results.curves:
            return ()
        caption = (
            "Accuracy against ε, the perturbation size. Lines: under PGD on the margin, each ε on images that withstood the "
            f"smaller ones; an upper bound. Large points: under {self._results.suite}, at the tables' ε, intervals in the table."
            f"{self._doubts}{self._abbreviations}"
        )
        return (self._chart("security", caption, f"Curves that fall with ε, one for each of {self._names}."),)

    def diffusion_loss(self) -> Chart:
        return self._chart(
            "diffusion-loss", "The diffusion model's training loss.", "Curve of the loss by training step."
        )

    def diffusion_samples(self) -> Picture:
        caption = "Samples from the diffusion model, a row for each class (section 4.2)."
        return read_picture(self._folder / SAMPLES, caption, "sample")
