"""`visualize`: the figures and the gathered results of one data set and architecture; the test set itself is not read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib.image
import numpy as np
import torch
from matplotlib.figure import Figure

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import write_json
from pag.data.image_store import ImageStore, pixels
from pag.evaluation.seeds import Repeated
from pag.figures.charts import attack_breakdown, lambda_curves, loss_curve, training_curves
from pag.figures.grids import Array, enlarged, targeted_grid, targets_by_source, targets_by_timestep
from pag.figures.names import eps_text, norm_name, percent
from pag.figures.panels import Interval
from pag.figures.scatters import robustness_against_alignment, robustness_over_cost
from pag.figures.style import marked, save
from pag.optimization.curves import read_curves
from pag.targets.kinds import open_targets
from pag.targets.store import Origin, TargetStore
from stages.params.figures import FiguresParams
from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths, grid_cells, sweep_cells
from stages.reporting.costs import front, points_of, priced, relative_cost
from stages.reporting.former import set_aside
from stages.reporting.methods import MethodResult, MethodResults, by_method
from stages.reporting.pictures import PICTURE, beside_vanilla, picture_of
from stages.reporting.results import (
    RESULTS,
    aligned_sources,
    gather,
    read_shown,
)
from stages.run import stage_run

__all__ = ["run"]

COLUMNS = 10  # of a grid of images; a data set of more classes shows its first ones
PANELS = {
    "cross_entropy": "cross-entropy",
    "cosine": "training cosine",
    "validation_accuracy": "validation accuracy",
    "validation_cosine": "validation cosine",
}


def run(params: Params, dataset: str, architecture: str, aside: bool = False) -> Path:
    """Writes `data/figures/<dataset>-<architecture>/`: PNGs, and `results.json` with the numbers of all cells.

    With `aside` cells of former grids are first moved away, so that what DVC sees of the folders is of today's grid alone.

    Raises:
        InputError: a cell of the grid has no results.
    """
    paths = DatasetPaths(dataset)
    outputs = [paths.figures(architecture), *([paths.former] if aside else [])]
    with stage_run("visualize", f"{dataset}-{architecture}", outputs=outputs):
        if aside:
            set_aside(params, dataset)
        results = gather(params, dataset, architecture)
        with written_whole(paths.figures(architecture)) as folder:
            folder.mkdir()
            write_json(folder / RESULTS, results.model_dump(mode="json", by_alias=True))
            shown = by_method(results)
            _write_picture(folder / PICTURE, params, shown, ImageStore.open(paths.images).class_names)
            for name, figure in _figures(params, paths, shown):
                save(figure, folder / f"{name}.png")
    return paths.figures(architecture)


def _figures(params: Params, paths: DatasetPaths, results: MethodResults) -> Iterator[tuple[str, Figure]]:
    store = ImageStore.open(paths.images)
    yield from _targeted(params, results, store.class_names)
    seed = read_grid(params).targets_seeds[0]
    yield from _targets(params, paths, store, seed)
    yield from _by_timestep(paths.target_examples(seed), store.class_names)
    yield from _charts(results)
    diffusion = paths.diffusion(seed)
    curves = read_curves(diffusion / "curves.csv")
    if not {"step", "loss"} <= curves.keys():
        raise InputError(f"{diffusion / 'curves.csv'} has no columns step and loss; train the diffusion model again.")
    steps, loss = ([value for value in curves[name] if value is not None] for name in ("step", "loss"))
    yield "diffusion-loss", loss_curve(steps, loss)
    yield "diffusion-samples", enlarged(_png(diffusion / "samples.png"))


def _write_picture(path: Path, params: Params, results: MethodResults, class_names: tuple[str, ...]) -> None:
    """What the page begins with, where the grid has a network to show."""
    cells = _first_cells(params, results)
    files = {
        method.label: read_shown(
            cells[method.name].evaluation / "targeted.safetensors", {"adversarial": 5}, len(class_names)
        )
        for method in beside_vanilla(results)
    }
    if files:
        write_json(path, picture_of(files, class_names, COLUMNS))


def _first_cells(params: Params, results: MethodResults) -> dict[str, Cell]:
    """Of each method, and λ of the sweep, the network of the first seeds, which images are of."""
    cells: dict[str, Cell] = {}
    for walk in (grid_cells, sweep_cells):
        for cell in walk(params, results.dataset, results.architecture):
            cells.setdefault(cell.row, cell)
    return cells


def _targeted(params: Params, results: MethodResults, class_names: tuple[str, ...]) -> Iterator[tuple[str, Figure]]:
    """Figures 1, 2 and 9 from each input, and figure 5: the same with a row for each λ, from the first input."""
    cells = _first_cells(params, results)
    methods = [(method.label, method) for method in results.methods]
    for i, figure in enumerate(_targeted_grids(methods, cells, class_names, results)):
        yield f"targeted-{i}", figure
    if len(results.by_lambda) < 2:
        return
    lambdas = [(f"λ = {lambda_:g}", method) for lambda_, method in results.by_lambda]
    yield "lambda-targeted", next(_targeted_grids(lambdas, cells, class_names, results))


def _targeted_grids(
    rows: Sequence[tuple[str, MethodResult]],
    cells: Mapping[str, Cell],
    class_names: tuple[str, ...],
    results: MethodResults,
) -> Iterator[Figure]:
    paths = [cells[method.name].evaluation / "targeted.safetensors" for _, method in rows]
    files = [read_shown(path, {"adversarial": 5}, len(class_names)) for path in paths]
    for path, file in zip(paths, files, strict=True):
        shape = (len(files[0]["images"]), len(class_names), *files[0]["images"].shape[1:])
        if file["adversarial"].shape != shape:
            raise InputError(f"{path} has examples of shape {file['adversarial'].shape}, and {shape} are drawn.")
    names = [name for name, _ in rows]
    main = [(name, norm_name(results.threats[name].norm)) for name in results.main_threats]
    numbers = {norm: [_number(method, name) for _, method in rows] for name, norm in main}
    for i, (image, label) in enumerate(zip(files[0]["images"], files[0]["labels"], strict=True)):
        adversarial = np.stack([file["adversarial"][i, :COLUMNS] for file in files])
        yield targeted_grid(image, class_names[label], adversarial, names, class_names[:COLUMNS], numbers)


def _number(method: MethodResult, threat: str) -> str:
    return marked(percent(method.robust(threat).value), _doubtful(method, threat))


def _targets(params: Params, paths: DatasetPaths, store: ImageStore, seed: int) -> Iterator[tuple[str, Figure]]:
    """Figure 7, at the first training image of each of the first classes."""
    train, images = store.split("train"), params.dataset(paths.dataset).read("figures", FiguresParams).images
    sources = aligned_sources(params, paths.dataset).items()
    opened = [(label, _opened(paths.targets(name, seed), store)) for name, label in sources]
    # Stores of a few classes an image miss most of the columns.
    stores = [(label, s) for label, s in opened if s.classes_per_image == s.num_classes]
    if not stores:
        return
    first, class_names = train.first_of_classes(images), store.class_names
    x, columns = pixels(train.images[first]), torch.arange(min(COLUMNS, store.num_classes)).expand(len(first), -1)
    g = torch.stack([targets.gather(train.rows[first], columns, x) for _, targets in stores]).numpy()
    for i, label in enumerate(train.labels[first].tolist()):
        names = [name for name, _ in stores]
        figure = targets_by_source(x[i].numpy(), class_names[label], g[:, i], names, class_names[:COLUMNS])
        yield f"targets-by-source-{i}", figure


def _opened(path: Path, images: ImageStore) -> TargetStore:
    store = open_targets(path, preload=False)
    origin = Origin(images.checksum, "train")
    store.check_matches(images.num_training, images.num_classes, images.image_shape, origin)
    return store


def _by_timestep(path: Path, class_names: tuple[str, ...]) -> Iterator[tuple[str, Figure]]:
    """Figure 8."""
    axes = {"by_timestep": 6, "timesteps": 1}
    examples = read_shown(path, axes, len(class_names))
    shape = (len(examples["timesteps"]), len(examples["images"]), len(class_names), *examples["images"].shape[1:])
    if examples["by_timestep"].shape != shape:
        raise InputError(f"{path} has gradients of shape {examples['by_timestep'].shape}, not {shape}.")
    timesteps = examples["timesteps"].tolist()
    for i, (image, label) in enumerate(zip(examples["images"], examples["labels"], strict=True)):
        targets = examples["by_timestep"][:, i, :COLUMNS]
        figure = targets_by_timestep(image, class_names[label], targets, timesteps, class_names[:COLUMNS])
        yield f"targets-by-timestep-{i}", figure


def _charts(results: MethodResults) -> Iterator[tuple[str, Figure]]:
    titles = {n: f"{results.suite} {norm_name(a.norm)}, ε = {eps_text(a.eps)}" for n, a in results.threats.items()}
    if len(results.by_lambda) > 1:
        yield "lambda", _lambda_curves(results, titles)
    shown, names = results.methods, results.threat_names
    methods = [method.method for method in shown]
    cosines = [_bars(method.alignment) for method in shown]
    yield (
        "robustness-alignment",
        robustness_against_alignment(methods, cosines, _robust(shown, names), _doubts(shown, names)),
    )
    attacks = {title: [method.attacks(name) for method in shown] for name, title in titles.items()}
    yield "attacks", attack_breakdown(methods, attacks, _doubts(shown, titles))
    if len(known := priced(results)) > 1:
        yield "cost", _over_cost(results, known)
    yield "training", training_curves({method.method: method.curves for method in shown}, PANELS)


def _lambda_curves(results: MethodResults, titles: Mapping[str, str]) -> Figure:
    lambdas, sweep = zip(*results.by_lambda, strict=True)
    accuracies = {"clean": [_bars(method.clean) for method in sweep], **_robust(sweep, titles)}
    return lambda_curves(lambdas, accuracies, [_bars(method.alignment) for method in sweep], _doubts(sweep, titles))


def _over_cost(results: MethodResults, methods: Sequence[MethodResult]) -> Figure:
    names, threats = [method.name for method in methods], results.main_threats
    fronts = {
        title: [names.index(name) for name in front(points_of(methods, threat))] for threat, title in threats.items()
    }
    ratios = [ratio for method in methods if (ratio := relative_cost(results, method)) is not None]
    passes = [method.forwards for method in methods if method.forwards is not None]
    costs, unit = (ratios, "vanilla = 1") if ratios else (passes, "forward passes of one image")
    shown = [method.method for method in methods]
    return robustness_over_cost(shown, costs, _robust(methods, threats), fronts, _doubts(methods, threats), unit)


def _bars(measure: Repeated) -> Interval:
    """The error bar of a number: a standard deviation between runs to either side, or of one run its interval."""
    if measure.sd is None:
        return measure.triple
    return measure.value, measure.value - measure.sd, measure.value + measure.sd


def _robust(methods: Sequence[MethodResult], names: Mapping[str, str]) -> dict[str, list[Interval]]:
    return {words: [_bars(method.robust(threat)) for method in methods] for threat, words in names.items()}


def _doubts(methods: Sequence[MethodResult], names: Mapping[str, str]) -> dict[str, list[bool]]:
    return {words: [_doubtful(method, threat) for method in methods] for threat, words in names.items()}


def _doubtful(method: MethodResult, threat: str) -> bool:
    return bool(method.doubts(f"autoattack.{threat}"))


def _png(path: Path) -> Array:
    try:
        return np.asarray(matplotlib.image.imread(path))[..., :3]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage that makes it.") from None
    except Exception as error:
        raise InputError(f"{path} cannot be read as an image ({type(error).__name__}).") from None
