"""`visualize`: the figures and the gathered results of one data set and architecture; the test set itself is not read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import write_json
from pag.base.vocabulary import Method
from pag.data.image_store import ImageStore, pixels
from pag.evaluation.seeds import Repeated
from pag.figures.bars import attack_breakdown
from pag.figures.curves import lambda_curves, loss_curve, security_curves, training_curves
from pag.figures.grids import ImageGrid, targeted_grid, targets_by_source, targets_by_timestep
from pag.figures.names import eps_text, norm_name, percent
from pag.figures.scatters import robustness_against_alignment, robustness_over_cost
from pag.figures.sheets import sheet
from pag.figures.style import marked, save
from pag.figures.values import Value
from pag.figures.vega import Chart
from pag.optimization.curves import read_curves
from pag.targets.kinds import open_targets
from pag.targets.store import Origin, TargetStore
from stages.params.evaluation import EvaluationParams
from stages.params.figures import FiguresParams
from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths, grid_cells, sweep_cells
from stages.reporting.arrays import read_shown
from stages.reporting.charts import save_chart
from stages.reporting.costs import front, points_of, priced, relative_cost
from stages.reporting.explorers import EXPLORER, explorer_data
from stages.reporting.former import set_aside
from stages.reporting.methods import MethodResult, MethodResults, by_method
from stages.reporting.pictures import PICTURE, SAMPLES, save_grid, save_samples
from stages.reporting.results import RESULTS, aligned_sources, gather
from stages.reporting.samples import read_samples
from stages.reporting.targeted import TARGETED, Targeted, read_targeted
from stages.run import stage_run

__all__ = ["run"]

COLUMNS = 20  # of a grid of images in all; a data set of more classes shows its first ones, and says so
FIRST = 10  # of the picture that the page begins with
PANELS = {
    "cross_entropy": "cross-entropy",
    "cosine": "training cosine",
    "validation_accuracy": "validation accuracy",
    "validation_cosine": "validation cosine",
}


def run(params: Params, dataset: str, architecture: str, aside: bool = False) -> Path:
    """Writes `data/figures/<dataset>-<architecture>/`: PNGs, charts as SVGs, too, and `results.json` with the numbers of all cells.

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
            methods = by_method(results)
            networks = _networks(params, methods)
            _write_shown(folder, params, methods, networks, ImageStore.open(paths.images))
            for name, grid in _grids(params, paths, methods, networks):
                save_grid(grid, folder / f"{name}.json")
                save(sheet(grid), folder / f"{name}.png")
            for name, chart in _charts(params, paths, methods):
                save_chart(chart, folder, name)
    return paths.figures(architecture)


def _grids(
    params: Params, paths: DatasetPaths, results: MethodResults, networks: Mapping[str, Targeted]
) -> Iterator[tuple[str, ImageGrid]]:
    store = ImageStore.open(paths.images)
    yield from _targeted(results, networks, store.class_names)
    seed = read_grid(params).targets_seeds[0]
    yield from _targets(params, paths, store, seed)
    yield from _by_timestep(paths.target_examples(seed), store.class_names)


def _networks(params: Params, results: MethodResults) -> dict[str, Targeted]:
    """Of each method, and λ of the sweep, the targeted examples of the network of the first seeds."""
    cells: dict[str, Cell] = {}
    for walk in (grid_cells, sweep_cells):
        for cell in walk(params, results.dataset, results.architecture):
            cells.setdefault(cell.row, cell)
    networks = {name: read_targeted(cell.evaluation / TARGETED) for name, cell in cells.items()}
    first = next(iter(networks.values()))
    for name, of in networks.items():
        if of.frames.shape != first.frames.shape or not np.array_equal(of.epsilons, first.epsilons):
            raise InputError(f"{cells[name].evaluation / TARGETED} is of other images or ε; run `pag evaluate` again.")
    return networks


def _write_shown(
    folder: Path, params: Params, results: MethodResults, networks: Mapping[str, Targeted], images: ImageStore
) -> None:
    """What the page begins with, its explorer, and the diffusion model's samples."""
    evaluation = params.dataset(results.dataset).read("evaluation", EvaluationParams)
    class_names, beside = images.class_names, results.beside_vanilla
    if beside:
        rows = [(method.label, method) for method in beside]
        picture = next(_targeted_grids(rows, networks, class_names, results, FIRST, numbered=False))
        save_grid(picture, folder / PICTURE)
    of_methods = {method.label: networks[method.name] for method in results.methods}
    shown = [method.label for method in beside or results.methods[:1]]
    write_json(folder / EXPLORER, explorer_data(of_methods, class_names, evaluation, shown))
    drawn = DatasetPaths(results.dataset).diffusion(read_grid(params).targets_seeds[0]) / "samples.png"
    save_samples(read_samples(drawn, images.image_shape)[:COLUMNS], class_names, folder / SAMPLES)


def _targeted(
    results: MethodResults, networks: Mapping[str, Targeted], class_names: tuple[str, ...]
) -> Iterator[tuple[str, ImageGrid]]:
    """Figures 1, 2 and 9 from each input, and figure 5: the same with a row for each λ, from the first input."""
    methods = [(method.label, method) for method in results.methods]
    for i, grid in enumerate(_targeted_grids(methods, networks, class_names, results)):
        yield f"targeted-{i}", grid
    if len(results.by_lambda) < 2:
        return
    lambdas = [(f"λ = {lambda_:g}", method) for lambda_, method in results.by_lambda]
    yield "lambda-targeted", next(_targeted_grids(lambdas, networks, class_names, results))


def _targeted_grids(
    rows: Sequence[tuple[str, MethodResult]],
    networks: Mapping[str, Targeted],
    class_names: tuple[str, ...],
    results: MethodResults,
    most: int = COLUMNS,
    numbered: bool = True,
) -> Iterator[ImageGrid]:
    of_rows = [networks[method.name] for _, method in rows]
    names = [name for name, _ in rows]
    main = [(name, norm_name(results.threats[name].norm)) for name in results.main_threats]
    numbers = {norm: [_number(method, name) for _, method in rows] for name, norm in main if numbered}
    columns = class_names[: min(most, of_rows[0].frames.shape[1])]
    for i, (image, label) in enumerate(zip(of_rows[0].images, of_rows[0].labels, strict=True)):
        adversarial = np.stack([network.adversarial[i, : len(columns)] for network in of_rows])
        yield targeted_grid(image, class_names[label], adversarial, names, columns, numbers, len(class_names))


def _number(method: MethodResult, threat: str) -> str:
    return marked(percent(method.robust(threat).value), _doubtful(method, threat))


def _targets(params: Params, paths: DatasetPaths, store: ImageStore, seed: int) -> Iterator[tuple[str, ImageGrid]]:
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
        shown = class_names[:COLUMNS]
        grid = targets_by_source(x[i].numpy(), class_names[label], g[:, i], names, shown, len(class_names))
        yield f"targets-by-source-{i}", grid


def _opened(path: Path, images: ImageStore) -> TargetStore:
    store = open_targets(path, preload=False)
    origin = Origin(images.checksum, "train")
    store.check_matches(images.num_training, images.num_classes, images.image_shape, origin)
    return store


def _by_timestep(path: Path, class_names: tuple[str, ...]) -> Iterator[tuple[str, ImageGrid]]:
    """Figure 8."""
    axes = {"by_timestep": 6, "timesteps": 1}
    examples = read_shown(path, axes, len(class_names))
    shape = (len(examples["timesteps"]), len(examples["images"]), len(class_names), *examples["images"].shape[1:])
    if examples["by_timestep"].shape != shape:
        raise InputError(f"{path} has gradients of shape {examples['by_timestep'].shape}, not {shape}.")
    timesteps = examples["timesteps"].tolist()
    for i, (image, label) in enumerate(zip(examples["images"], examples["labels"], strict=True)):
        targets = examples["by_timestep"][:, i, :COLUMNS]
        shown = class_names[:COLUMNS]
        grid = targets_by_timestep(image, class_names[label], targets, timesteps, shown, len(class_names))
        yield f"targets-by-timestep-{i}", grid


def _charts(params: Params, paths: DatasetPaths, results: MethodResults) -> Iterator[tuple[str, Chart]]:
    titles = {n: f"{results.suite} {norm_name(a.norm)}, ε = {eps_text(a.eps)}" for n, a in results.threats.items()}
    if len(results.by_lambda) > 1:
        yield "lambda", _lambda_curves(results, titles)
    shown, names = results.methods, results.threat_names
    methods = _named(shown)
    cosines = [_value(method.alignment) for method in shown]
    robust, doubts = _robust(shown, names), _doubts(shown, names)
    yield "robustness-alignment", robustness_against_alignment(methods, cosines, robust, doubts)
    attacks = {title: [method.attacks(name) for method in shown] for name, title in titles.items()}
    yield "attacks", attack_breakdown(methods, attacks, _doubts(shown, titles))
    if len(known := priced(results)) > 1:
        yield "cost", _over_cost(results, known)
    if results.curves:
        yield "security", _over_eps(results, methods)
    curves = {name: method.curves for name, method in zip(methods, shown, strict=True)}
    yield "training", training_curves(curves, methods, PANELS)
    yield "diffusion-loss", _diffusion_loss(paths.diffusion(read_grid(params).targets_seeds[0]) / "curves.csv")


def _named(methods: Sequence[MethodResult]) -> dict[str, Method]:
    """The methods by their labels, with λ where they have one."""
    return {
        method.label if method.lambda_ is None else f"{method.method.label} λ = {method.lambda_:g}": method.method
        for method in methods
    }


def _lambda_curves(results: MethodResults, titles: Mapping[str, str]) -> Chart:
    lambdas, sweep = zip(*results.by_lambda, strict=True)
    accuracies = {"clean": [_value(method.clean) for method in sweep], **_robust(sweep, titles)}
    return lambda_curves(lambdas, accuracies, [_value(method.alignment) for method in sweep], _doubts(sweep, titles))


def _over_cost(results: MethodResults, methods: Sequence[MethodResult]) -> Chart:
    names, threats = [method.name for method in methods], results.main_threats
    fronts = {
        title: [names.index(name) for name in front(points_of(methods, threat))] for threat, title in threats.items()
    }
    ratios = [ratio for method in methods if (ratio := relative_cost(results, method)) is not None]
    passes = [method.forwards for method in methods if method.forwards is not None]
    costs, unit = (ratios, "vanilla = 1") if ratios else (passes, "forward passes of one image")
    doubts = _doubts(methods, threats)
    return robustness_over_cost(_named(methods), costs, _robust(methods, threats), fronts, doubts, unit)


def _over_eps(results: MethodResults, methods: Mapping[str, Method]) -> Chart:
    """PGD's curves, and AutoAttack's numbers at the ε where they were measured."""
    curves, marks, doubts, of_methods = {}, {}, {}, list(zip(methods, results.methods, strict=True))
    for threat in results.curves:
        norm = results.threats[threat].norm
        curves[norm_name(norm)] = {n: [(eps, _value(a)) for eps, a in m.curve(threat)] for n, m in of_methods}
        attacked = {name: of.eps for name, of in results.threats.items() if of.norm == norm}
        marks[norm_name(norm)] = {n: [(eps, _value(m.robust(t))) for t, eps in attacked.items()] for n, m in of_methods}
        doubts[norm_name(norm)] = {n for n, m in of_methods if any(_doubtful(m, name) for name in attacked)}
    return security_curves(methods, curves, marks, doubts, results.suite)


def _diffusion_loss(path: Path) -> Chart:
    curves = read_curves(path)
    if not {"step", "loss"} <= curves.keys():
        raise InputError(f"{path} has no columns step and loss; train the diffusion model again.")
    steps, loss = ([value for value in curves[name] if value is not None] for name in ("step", "loss"))
    return loss_curve(steps, loss)


def _value(measure: Repeated) -> Value:
    """A number with its error bar: a standard deviation between runs to either side, or of one run its interval."""
    if measure.sd is None:
        return Value(*measure.triple)
    return Value(measure.value, measure.value - measure.sd, measure.value + measure.sd, sd=True)


def _robust(methods: Sequence[MethodResult], names: Mapping[str, str]) -> dict[str, list[Value]]:
    return {words: [_value(method.robust(threat)) for method in methods] for threat, words in names.items()}


def _doubts(methods: Sequence[MethodResult], names: Mapping[str, str]) -> dict[str, list[bool]]:
    return {words: [_doubtful(method, threat) for method in methods] for threat, words in names.items()}


def _doubtful(method: MethodResult, threat: str) -> bool:
    return bool(method.doubts(f"autoattack.{threat}"))
