"""What `test_ranks.py` has 1, 2 and 3 ranks do: every long stage on made-up artifacts, and trainings in float64.

torchrun --standalone --nproc-per-node 2 tests/helpers/rank_work.py FOLDER
"""

import os
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.data.image_store import Split
from pag.diffusion.model import DiffusionConfig
from pag.diffusion.training import DiffusionRecipe, train_diffusion
from pag.machine.ranks import barrier, first, joined
from pag.optimization.loop import Run
from pag.targets import kernel_targets
from pag.targets.heuristic_store import write_representatives
from pag.targets.kinds import open_targets
from pag.training import batches, classifier
from pag.training.augmentation import Augmentation
from pag.training.classifier import train_classifier
from pag.training.objectives import AdversarialTraining, AlignedMargin, Alignment, CrossEntropy, Trades
from pag.training.recipe import AlignedTargets, Recipe
from stages import evaluate, generate, generated_targets, heuristic_targets, score_targets, teacher_targets
from stages.params.reading import Params
from stages.paths import Cell

__all__ = ["CELL", "PARAMS_FILE", "SEED", "UNET"]

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
SEED = 3407
CELL = Cell("digits", "resnet8", "vanilla", SEED)
OVERRIDES = (
    "params/digits.yaml:targets.score_based.shard_size=3",
    "params/digits.yaml:diffusion.threads=1",
    "params/digits.yaml:targets.kernel.shard_size=7",
    "params/digits.yaml:targets.teacher_vanilla={source: teacher, shard_size: 7}",
    "params/digits.yaml:generated={per_class: 5, steps: 2, eta: 0.5}",
    # so large that the first attack fools every example: the later ones cost nothing
    "params/digits.yaml:evaluation.threats={l2: {norm: l2, eps: 7.0}, linf: {norm: linf, eps: 1.0}}",
    "params/digits.yaml:evaluation.examples=5",
    "params/digits.yaml:evaluation.block_size=2",
    "params/digits.yaml:evaluation.pgd={steps: 2, restarts: 2, relative_step: 2.0}",
    "params/digits.yaml:evaluation.targeted={norm: l2, eps: 1.0, ladder: [1.0], steps: 1, relative_step: 1.0, images: 2, classes: 9}",  # noqa: E501
)
UNET = {
    "base_channels": 32, "channel_mult": (1,), "num_res_blocks": 1, "attention_downsamplings": (), "num_heads": 1,
    "dropout": 0.2, "scale_shift_norm": True,
}  # fmt: skip
# Not Adam: it makes steps of what rounding leaves of a gradient that is zero, as of a bias before batch norm.
SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "milestones": (0.5,), "gamma": 0.5}
N, C, BATCH = 31, 3, 10  # the last batch of an epoch has one image
L2_ATTACK = PGD(Threat("l2", 0.5), 3, 0.2, random_start=True)
KL_ATTACK = PGD(Threat("linf", 0.1), 2, 0.04, random_start=True, loss="kl", start_std=1e-3)
OBJECTIVES = {
    "vanilla": CrossEntropy(),
    "aligned": Alignment(0.5, C, "log_softmax"),
    "adversarial": AdversarialTraining(L2_ATTACK),
    "aligned trades": Alignment(0.5, C, "log_softmax", Trades(KL_ATTACK, 6.0)),
    "aligned margin": AlignedMargin(Threat("l2", 0.5), 0.5, C),
    "random margin aligned": AlignedMargin(Threat("linf", 0.1), 0.5, C, path="random"),
}


def stages():
    """Targets of both kinds and an evaluation, in the working directory."""
    params = Params(PARAMS_FILE, OVERRIDES)
    score_targets.run(params, "digits", "train", SEED)
    score_targets.run(params, "digits", "test", SEED)
    for source in ("class_mean", "nearest_neighbor", "kernel"):
        heuristic_targets.run(params, "digits", source, SEED)
    few = "params/digits.yaml:targets.kernel_neighbors={source: kernel, relative_to: unconditional, sigma: auto, neighbors: 2}"
    kernel_targets.QUERY_BLOCK = 7
    heuristic_targets.run(Params(PARAMS_FILE, [*OVERRIDES, few]), "digits", "kernel_neighbors", SEED)
    teacher_targets.run(params, "digits", CELL.architecture, CELL.method, SEED)
    generate.SHARD = 7
    generate.run(params, "digits", SEED)
    for source in ("score_based", "nearest_neighbor", "kernel"):
        generated_targets.run(params, "digits", source, SEED)
    evaluate.run(params, CELL, 1)


class Network(nn.Sequential):
    """Small, with all that looks at a batch: batch norm (of images, then of features) and dropout, of activations channels last.

    The gradient of a weight with one column, as the last has, comes with other strides than the weight.
    """

    def __init__(self):
        super().__init__(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Dropout(0.2), nn.Flatten(),
            nn.Linear(4 * 16, 8), nn.GroupNorm(2, 8), nn.SiLU(), nn.Linear(8, 1), nn.SiLU(),
            nn.Linear(1, C),
        )  # fmt: skip


def _classifier(name, targets, checkpoint=None, stop_after=None):
    torch.manual_seed(0)
    model, objective, calls = Network(), OBJECTIVES[name], 0

    def counted(*arguments):
        nonlocal calls
        calls += 1
        if calls == stop_after:
            raise KeyboardInterrupt
        return objective(*arguments)

    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (N, 2, 6, 6), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.arange(N) % C, torch.arange(N))
    aligned = AlignedTargets(targets, "log_softmax", classes_per_step=2, by_prediction="margin" in name)
    aligned = aligned if "aligned" in name else None
    recipe, run = Recipe(2, BATCH, SGD, Augmentation(1, True)), Run(3, name, checkpoint=checkpoint)
    curves = train_classifier(model, split, split, counted, aligned, recipe, run)
    return model.state_dict(), curves


def _resumed(targets, checkpoint):
    try:
        _classifier("aligned", targets, checkpoint, stop_after=6)
    except KeyboardInterrupt:
        return _classifier("aligned", targets, checkpoint)


def _diffusion():
    generator = torch.Generator().manual_seed(2)
    pixels = torch.rand(12, 1, 4, 4, generator=generator)
    config = DiffusionConfig((1, 4, 4), C, UNET, "cosine", 100, learned_variance=True)
    recipe = DiffusionRecipe(4, 7, SGD, ema_decay=0.5)
    model, curves = train_diffusion(config, pixels, torch.arange(12) % C, recipe, Run(4, "diffusion model"))
    return model.network.state_dict(), curves


def trainings():
    """Writes `trainings.pt` in the working directory: `{name: (weights, curves)}` of every training."""
    torch.set_default_dtype(torch.float64)
    batches.pixels = classifier.pixels = lambda images: images.double() / 255
    if first():
        generator = torch.Generator().manual_seed(5)
        representatives = torch.rand(C, 6, 6, 2, generator=generator, dtype=torch.float32).numpy()
        write_representatives(Path("means.zarr"), representatives, "image", (torch.arange(N) % C).numpy())
    barrier()
    targets = open_targets(Path("means.zarr"))
    results = {name: _classifier(name, targets) for name in OBJECTIVES}
    results["resumed"] = _resumed(targets, Path("state.pt"))
    results["diffusion"] = _diffusion()
    if first():
        torch.save(results, "trainings.pt")


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    with joined():
        stages()
        trainings()
