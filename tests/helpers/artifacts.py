"""Small made-up artifacts of every stage before `visualize`, for the tests of the figures and of the report."""

import json
import shutil
from itertools import groupby

import numpy as np
import torch
from safetensors.numpy import save_file

from pag.base.json_files import write_json
from pag.base.vocabulary import Method
from pag.data.datasets import Dataset, LabelledImages
from pag.data.image_store import write_images
from pag.diffusion.model import DiffusionConfig, save_diffusion
from pag.networks.architectures import build
from pag.networks.classifier import save_classifier
from pag.optimization.curves import write_curves
from pag.targets.gradient_store import create_gradients, write_shard
from pag.targets.heuristic_store import write_nearest, write_representatives
from stages.params.architectures import read_architecture
from stages.params.grid import read_grid, read_lambda
from stages.params.methods import describe
from stages.paths import TIMES, TOY, DatasetPaths, grid_cells, sweep_cells

__all__ = [
    "CLASSES",
    "METHODS",
    "SEED",
    "evaluation_metrics",
    "gathered_outcomes",
    "with_other_attacks",
    "write_all",
    "write_cell",
    "write_networks",
    "write_ten_images",
    "write_toy",
]

CLASSES, SIDE, INPUTS = 4, 8, 2
SEED = 3407  # of training and of targets, the first of the grid's
ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")


def _aligned(label, source, kind, relative_to=None, name=None):
    return Method(
        name=name or source, objective="alignment", source=source, kind=kind, relative_to=relative_to, label=label
    )


METHODS = {
    method.name: method
    for method in (
        Method(name="vanilla", objective="cross_entropy", label="Vanilla"),
        Method(name="at_l2", objective="adversarial", label="AT L₂"),
        Method(name="at_linf", objective="adversarial", label="AT L∞"),
        _aligned("OI", "one_image", "one_image", "image"),
        _aligned("OI (own class)", "one_image_own_class", "one_image", "own_class"),
        _aligned("CM", "class_mean", "class_mean", "image"),
        _aligned("NN", "nearest_neighbor", "nearest_neighbor", "image"),
        _aligned("NN (own class)", "nearest_neighbor_own_class", "nearest_neighbor", "own_class"),
        _aligned("SBG", "score_based", "score_based"),
        _aligned("frozen stats + SBG", "score_based", "score_based", name="frozen_with_score_based"),
        _aligned("published SBG", "published", "imported"),
        _aligned("kernel", "kernel", "kernel"),
        _aligned("teacher", "teacher", "teacher"),
        Method(name="aligned_margin_l2", objective="aligned_margin", source="kernel", kind="kernel", label="AM L₂"),
        Method(
            name="aligned_margin_l2_without_margin",
            objective="aligned_margin",
            source="kernel",
            kind="kernel",
            label="AM L₂, no margin",
        ),
        Method(name="aligned_margin_linf", objective="aligned_margin", source="kernel", kind="kernel", label="AM L∞"),
        Method(name="gradient_norm", objective="gradient_norm", label="gradient norm"),
    )
}
"""A method of each family, as params describe it."""


def measure(value, n, half=0.05):
    return {"value": value, "interval": [max(value - half, 0.0), min(value + half, 1.0)], "n": n}


def evaluation_metrics(cell, method, lambda_, l2, linf, alignment, clean=0.95, half=0.05):
    """`metrics.json` of an evaluation, with given values."""
    threats = {"l2": (0.9, l2), "linf": (8 / 255, linf)}
    autoattack = {
        norm: {
            "norm": norm,
            "eps": eps,
            **measure(v, 120, half),
            "attacks": {a: v + 0.01 * (3 - i) for i, a in enumerate(ATTACKS)},
        }
        for norm, (eps, v) in threats.items()
    }
    curve = {
        norm: [{"norm": norm, "eps": eps * k, **measure(clean + (v - clean) * k, 120, half)} for k in (0, 0.5, 1)]
        for norm, (eps, v) in threats.items()
    }
    return {
        "dataset": cell.dataset, "architecture": cell.architecture, "method": method.model_dump(mode="json"),
        "lambda": lambda_, "seed": 3407, "training_seed": cell.seed, "targets_seed": cell.targets_seed,
        "clean": measure(clean, 360, 0.02), "autoattack": autoattack,
        "curve": curve, "alignment": measure(alignment, 360, 0.01),
    }  # fmt: skip


def _right(measured):
    """Who was right, of the images that a measure is of: the first ones."""
    return np.arange(measured["n"]) < round(measured["value"] * measured["n"])


def _outcomes(metrics):
    """`outcomes.safetensors` of an evaluation with these metrics: the last attack's are what AutoAttack left."""
    attacked = {f"{threat}.{ATTACKS[-1]}": _right(of) for threat, of in metrics["autoattack"].items()}
    return {"clean": _right(metrics["clean"]), **attacked}


def gathered_outcomes(metrics):
    """The same as `visualize` gathers it."""
    measures = {"clean": metrics["clean"]} | {f"autoattack.{name}": of for name, of in metrics["autoattack"].items()}
    return {name: "".join("1" if right else "0" for right in _right(of)) for name, of in measures.items()}


def with_other_attacks(metrics):
    """The same with a larger ε of L2, PGD and two attacks of Foolbox: each robust accuracy halved."""
    attacked = metrics["autoattack"]
    large = {**attacked["l2"], **measure(attacked["l2"]["value"] / 2, 120), "eps": 1.5}
    autoattack = {**attacked, "l2_large": large}
    pgd = {
        name: {"norm": of["norm"], "eps": of["eps"], **measure(of["value"] / 2, 120)} for name, of in autoattack.items()
    }
    foolbox = {
        "gaussian_blur": {"norm": "l2", "eps": 2.0, **measure(attacked["l2"]["value"] / 2, 50)},
        "l0_fmn": {"norm": "l0", "eps": 9.0, **measure(attacked["linf"]["value"] / 2, 50)},
    }
    return {**metrics, "autoattack": autoattack, "pgd": pgd, "foolbox": foolbox}


def write_cell(cell, metrics, rng, channels):
    """The folders of a classifier and its evaluation."""
    for folder in (cell.classifier, cell.evaluation):
        folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"epoch": e, "loss": 2.3 / e, "cross_entropy": 2.2 / e, "validation_accuracy": 1 - 0.8 / e}
        | ({"cosine": 1 / e, "validation_cosine": 0.7 - 0.6 / e} if metrics["lambda"] is not None else {})
        for e in range(1, 6)
    ]
    columns = ("epoch", "loss", "cross_entropy", "cosine", "validation_accuracy", "validation_cosine")
    write_curves(cell.classifier / "curves.csv", columns, rows)
    validation = {
        "accuracy": 0.97,
        "cosine": rows[-1].get("validation_cosine"),
        "pgd_l2": 0.5,
        "pgd_linf": 0.4,
        "apgd_t_l2": 0.45,
    }
    write_json(cell.classifier / "metrics.json", {"validation": validation, "loss": 0.1})
    write_json(cell.evaluation / "metrics.json", metrics)
    save_file(_outcomes(metrics), cell.evaluation / "outcomes.safetensors")
    shape = (channels, SIDE, SIDE)
    epsilons = np.array([0, 1.0, 2.5])
    frames = rng.integers(0, 256, (INPUTS, CLASSES, len(epsilons), *shape), dtype=np.uint8)
    frames[:, :, 0] = frames[:, :1, 0]  # where all begin
    targeted = {
        "labels": np.arange(INPUTS),
        "epsilons": epsilons,
        "large": np.array([2]),
        "frames": frames,
        "probabilities": rng.dirichlet(np.ones(CLASSES), frames.shape[:3]).astype(np.float32),
    }
    save_file(targeted, cell.evaluation / "targeted.safetensors")


def _write_dataset(params, paths, rng, channels, class_names):
    n, shape = 5 * CLASSES, (SIDE, SIDE, channels)
    labels = np.tile(np.arange(CLASSES), 5)
    images = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    part = LabelledImages(images, labels)
    write_images(paths.images, Dataset("made up", part, part, class_names, "made up"), np.arange(n) >= n - CLASSES)
    grid = read_grid(params)
    margin = [grid.aligned_margin.targets] if grid.aligned_margin.methods else []
    for name in dict.fromkeys([*grid.aligned, *margin]):
        path, method = paths.targets(name, SEED), describe(params, paths.dataset, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if method.kind == "score_based":
            create_gradients(path, (n, CLASSES, channels, SIDE, SIDE), n)
            write_shard(path, 0, rng.normal(size=(n, CLASSES, channels, SIDE, SIDE)))
        elif method.kind == "nearest_neighbor":
            nearest = rng.integers(0, n, (n, CLASSES), dtype=np.int32)
            write_nearest(path, images, nearest, method.relative_to, labels)
        else:
            write_representatives(path, rng.random((CLASSES, *shape), dtype=np.float32), method.relative_to, labels)
    by_timestep = rng.normal(size=(3, INPUTS, CLASSES, channels, SIDE, SIDE)).astype(np.float32)
    first = (images[:INPUTS].transpose(0, 3, 1, 2) / 255).astype(np.float32)
    examples = {
        "images": first,
        "labels": labels[:INPUTS],
        "by_timestep": by_timestep,
        "timesteps": np.array([50, 500, 900]),
    }
    paths.target_examples(SEED).parent.mkdir()
    save_file({k: np.ascontiguousarray(v) for k, v in examples.items()}, paths.target_examples(SEED))


def _write_diffusion(paths, rng):
    from matplotlib.image import imsave

    folder = paths.diffusion(SEED)
    folder.mkdir(parents=True)
    imsave(folder / "samples.png", rng.random((42, 22, 3)))
    write_curves(folder / "curves.csv", ["step", "loss"], [{"step": s, "loss": 1 / s} for s in range(1, 9)])


def write_toy(rng):
    """What `evaluate_toy` writes."""
    TOY.mkdir(parents=True)

    def spread(values):
        return {"mean": float(np.mean(values)), "std": float(np.std(values)), "values": values}

    metrics = {
        "vanilla": {"clean": spread([1.0, 1.0, 1.0]), "robust": spread([0.1, 0.0, 0.3])},
        "aligned": {"clean": spread([1.0, 1.0, 1.0]), "robust": spread([0.9, 0.8, 0.2])},
    }
    write_json(TOY / "metrics.json", metrics)
    x1, x2 = np.linspace(-70, 70, 41).astype(np.float32), np.linspace(-130, 130, 41).astype(np.float32)
    predicted = (np.add.outer(x2 / 2, x1) > 0).astype(np.int64)
    points = rng.normal(size=(60, 2)).astype(np.float32) * 20
    save_file(
        {
            "points": points, "labels": (points[:, 0] > 0).astype(np.int64), "grid_x1": x1, "grid_x2": x2,
            "vanilla": predicted, "aligned": 1 - predicted, "pair": np.array(0),
        },
        TOY / "boundaries.safetensors",
    )  # fmt: skip


def _numbered(cells):
    """Each cell with the numbers of its method and of its run."""
    for i, (_, runs) in enumerate(groupby(cells, key=lambda cell: cell.row)):
        yield from ((i, j, cell) for j, cell in enumerate(runs))


def write_all(params, dataset, architecture, *, channels=1, class_names=("0", "1", "2", "3"), extended=dict):
    """Everything that `visualize` and `report` read, under the working directory; `extended` may add to the metrics of a cell."""
    rng, paths = np.random.default_rng(0), DatasetPaths(dataset)
    paths.root.mkdir(parents=True)
    _write_dataset(params, paths, rng, channels, class_names)
    _write_diffusion(paths, rng)
    for i, j, cell in _numbered(grid_cells(params, dataset, architecture)):
        method, more = describe(params, dataset, cell.method), 0.1 * i + 0.025 * j
        lambda_ = None if method.source is None else read_lambda(params, dataset, architecture, cell.method)
        metrics = evaluation_metrics(cell, method, lambda_, 0.05 + more, 0.02 + more, 0.1 + more)
        write_cell(cell, extended(metrics), rng, channels)
    for i, j, cell in _numbered(sweep_cells(params, dataset, architecture)):
        method, more = describe(params, dataset, cell.method), 0.1 * i + 0.025 * j
        metrics = evaluation_metrics(cell, method, cell.lambda_, 0.2 + more, 0.1 + more, 0.2 + more)
        write_cell(cell, extended(metrics), rng, channels)
    write_toy(rng)
    times = [("prepare@digits", 1.0), ("train@<b>", 2.5), ("prepare@digits", 3.0)]
    TIMES.write_text("".join(json.dumps({"stage": s, "seconds": t}) + "\n" for s, t in times), encoding="utf-8")


def write_networks(params, cell, unet):
    """A diffusion model and a classifier in the place of what `write_all` wrote for a cell, each of random weights."""
    torch.manual_seed(0)
    options, shape = read_architecture(params, cell.architecture).options, {"image_shape": (1, SIDE, SIDE)}
    shape["num_classes"] = CLASSES
    names = {
        "dataset": cell.dataset,
        "method": METHODS[cell.method].model_dump(mode="json"),
        "lambda": None,
        "seed": cell.seed,
        "targets_seed": cell.targets_seed,
        "class_names": ["0", "1", "2", "3"],
    }
    shutil.rmtree(cell.classifier)
    cell.classifier.mkdir()
    save_classifier(cell.classifier, build(**shape, **options), {"architecture": options, **shape, **names})
    model = DiffusionConfig(shape["image_shape"], CLASSES, unet, "cosine", 1000, learned_variance=False).build()
    for parameter in model.network.parameters():
        if not parameter.any():  # a network before training gives all labels the same
            torch.nn.init.normal_(parameter, std=0.1)
    save_diffusion(DatasetPaths(cell.dataset).diffusion(SEED), model)


def write_ten_images(paths, side):
    """An image store of a class an image, three of the ten for validation."""
    rng = np.random.default_rng(0)
    part = LabelledImages(rng.integers(0, 256, (10, side, side, 1), dtype=np.uint8), np.arange(10))
    paths.root.mkdir(parents=True)
    write_images(paths.images, Dataset("made up", part, part, tuple("0123456789"), "made up"), np.arange(10) < 3)
