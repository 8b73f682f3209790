"""Laws of `generate` and `generated_targets`, and of training with what they made: bytes, labels, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rank_work import PARAMS_FILE, SEED, UNET

from pag.base.errors import InputError
from pag.data.datasets import Dataset, LabelledImages
from pag.data.generated_store import GeneratedImages, write_generated
from pag.data.image_store import ImageStore, pixels, write_images
from pag.diffusion.model import DiffusionConfig, save_diffusion
from pag.targets.kinds import open_targets
from pag.targets.store import Origin
from stages import generate, generated_targets, heuristic_targets, score_targets, train
from stages.params.check import Named, check
from stages.params.methods import describe
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths, grid_cells

C, SIDE, PER_CLASS = 3, 8, 5
PATHS = DatasetPaths("digits")
FEW = (
    "params/digits.yaml:generated={per_class: 5, steps: 2, eta: 0.5}",
    "params/digits.yaml:diffusion.threads=1",
    "params/digits.yaml:training.epochs=1",
    "params/digits.yaml:training.validation_attack.steps=1",
)
GRID = "grid.generated={datasets: [digits], baselines: [at_l2], aligned: [score_based]}"
MIXED = "at_l2_with_generated", "score_based_with_generated"


def _params(*overrides):
    return Params(PARAMS_FILE, [*FEW, *overrides])


def _write_images(seed=0, count=20):
    rng, labels = np.random.default_rng(seed), np.arange(count) % C
    part = LabelledImages(rng.integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8), labels)
    shutil.rmtree(PATHS.images, ignore_errors=True)
    write_images(
        PATHS.images, Dataset("made up", part, part, ("a", "b", "c"), "made up"), np.arange(count) >= count - C
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Images and a diffusion model of half their size, in a working directory."""
    monkeypatch.chdir(tmp_path)
    PATHS.root.mkdir(parents=True)
    _write_images()
    torch.manual_seed(0)
    model = DiffusionConfig((1, SIDE // 2, SIDE // 2), C, UNET, "cosine", 1000, learned_variance=False).build()
    for parameter in model.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    PATHS.diffusion(SEED).mkdir(parents=True)
    save_diffusion(PATHS.diffusion(SEED), model)


def _bytes(path):
    return {p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_images_have_the_data_sets_size_and_each_class_as_often(project):
    generate.run(_params(), "digits", SEED)
    made = GeneratedImages.read(PATHS.generated(SEED))
    made.check_matches(ImageStore.open(PATHS.images))
    assert made.split.images.shape == (PER_CLASS * C, 1, SIDE, SIDE)
    assert made.split.labels.bincount().tolist() == [PER_CLASS] * C
    assert len(np.unique(made.split.images.numpy(), axis=0)) == PER_CLASS * C


def test_an_interrupted_run_goes_on_to_the_same_bytes(project, monkeypatch):
    generate.run(_params(), "digits", SEED)
    whole, drawn = _bytes(PATHS.generated(SEED)), []
    shutil.rmtree(PATHS.generated(SEED))
    monkeypatch.setattr(generate, "SHARD", 4)
    original = generate.generated_images

    def counted(model, labels, numbers, **options):
        drawn.append(numbers.tolist())
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return original(model, labels, numbers, **options)

    monkeypatch.setattr(generate, "generated_images", counted)
    with pytest.raises(KeyboardInterrupt):
        generate.run(_params(), "digits", SEED)
    assert not PATHS.generated(SEED).exists()
    generate.run(_params(), "digits", SEED)
    assert drawn == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [8, 9, 10, 11], [12, 13, 14]]
    assert _bytes(PATHS.generated(SEED)) == whole  # though shards are of another size, too
    assert list(Path(".checkpoints").iterdir()) == []


@pytest.mark.parametrize("source", ["score_based", "class_mean", "nearest_neighbor_own_class"])
def test_targets_at_generated_images_are_made_as_those_at_training_images(project, source):
    """By the same representatives; score-based ones have their own test, of gradients at any images."""
    params = _params()
    generate.run(params, "digits", SEED)
    generated_targets.run(params, "digits", source, SEED)
    made, targets = GeneratedImages.read(PATHS.generated(SEED)), open_targets(PATHS.generated_targets(source, SEED))
    assert targets.origin == Origin(made.checksum, "generated")
    count, classes = len(made.split.labels), torch.arange(C).expand(PER_CLASS * C, -1)
    targets.check_matches(count, C, (1, SIDE, SIDE), targets.origin)
    x = pixels(made.split.images)
    g = targets.gather(torch.arange(count), classes, x)
    assert g.isfinite().all()
    if source == "score_based":
        return
    heuristic_targets.run(params, "digits", source, SEED)
    of_training, train_set = open_targets(PATHS.targets(source, SEED)), ImageStore.open(PATHS.images).split("train")
    if source == "class_mean":
        expected = of_training.gather(torch.zeros(count, dtype=torch.int64), classes, x)
    else:
        own, distances = pixels(train_set.images), torch.cdist(x.flatten(1), pixels(train_set.images).flatten(1))
        nearest = [distances.masked_fill(train_set.labels != c, torch.inf).argmin(dim=1) for c in range(C)]
        r = torch.stack([own[index] for index in nearest], dim=1)
        y = made.split.labels
        expected = r - r[torch.arange(count), y][:, None]
        expected[torch.arange(count), y] = -expected.sum(dim=1) / (C - 1)
    torch.testing.assert_close(g, expected, rtol=0, atol=1e-6)


def _all(params):
    generate.run(params, "digits", SEED)
    score_targets.run(params, "digits", "train", SEED)
    generated_targets.run(params, "digits", "score_based", SEED)


@pytest.mark.parametrize("method", MIXED)
def test_training_needs_what_was_generated_from_these_images(project, method):
    params, cell = _params(GRID), Cell("digits", "resnet8", method, SEED, SEED)
    with pytest.raises(InputError, match=r"3407\.zarr is no Zarr store; run the stage that writes it"):
        train.run(params, cell)
    _all(params)
    train.run(params, cell)
    assert (cell.classifier / "model.safetensors").exists()
    store = ImageStore.open(PATHS.images)
    made = GeneratedImages.read(PATHS.generated(SEED))
    shutil.rmtree(PATHS.generated(SEED))
    values, labels = np.zeros((4, SIDE, SIDE, 1), np.uint8), np.zeros(4, np.int64)
    write_generated(PATHS.generated(SEED), values, labels, C + 1, store.checksum, "")
    with pytest.raises(InputError, match=r"holds images of \(C, ch, H, W\) = \(4, 1, 8, 8\), and"):
        train.run(params, cell)
    shutil.rmtree(PATHS.generated(SEED))
    others = 255 - made.split.images.numpy().transpose(0, 2, 3, 1)
    write_generated(PATHS.generated(SEED), others, made.split.labels.numpy(), C, store.checksum, "")
    if method == "score_based_with_generated":  # of the right kind, and not those that there are targets of
        with pytest.raises(InputError, match=r"score_based\.zarr was made from other images than there are now"):
            train.run(params, cell)
    _write_images(seed=1)
    with pytest.raises(InputError, match=r"was made from other images than "):
        train.run(params, cell)


@pytest.mark.parametrize(("share", "told"), [(0.01, "has no generated image then"), (0.999, "has no real image then")])
def test_a_share_that_takes_nothing_or_all_of_a_batch_is_refused(project, share, told):
    overrides = f"params/digits.yaml:methods.{MIXED[0]}.training.generated.share={share}"
    params = _params(GRID, overrides, "params/digits.yaml:training.batch_size=10")
    generate.run(params, "digits", SEED)
    with pytest.raises(InputError, match=f"share is {share}, and a batch of 10 {told}"):
        train.run(params, Cell("digits", "resnet8", MIXED[0], SEED, SEED))


def test_imported_targets_are_none_of_generated_images(project):
    params = _params("+params/digits.yaml:targets.published={source: imported, shard_size: 5}")
    with pytest.raises(
        InputError, match=r"^targets\.published is of the source imported, which has no targets at generated images"
    ):
        generated_targets.run(params, "digits", "published", SEED)


REFUSED = {
    "grid.generated={datasets: [cifar10], baselines: [], aligned: []}": "has 'cifar10', which datasets does not have",
    "grid.generated={datasets: [digits], baselines: [trades], aligned: []}": "'trades_with_generated'",
    "grid.generated={datasets: [digits], baselines: [score_based], aligned: []}": "is for methods without targets",
    "grid.baselines=[at_l2_with_generated]": "grid.baselines is for methods without training.generated, and at_l2_with_generated",
    "~params/digits.yaml:methods.at_l2_with_generated.training.generated": "is for methods with training.generated, and",
    "~params/digits.yaml:generated": "has no section generated",
    "params/digits.yaml:generated.steps=1001": "generated.steps is 1001, more than diffusion.timesteps",
    "params/digits.yaml:generated.steps=1": "generated.steps: ",
    "params/digits.yaml:generated.guidance=-1": "generated.guidance: ",
    "params/digits.yaml:generated.eta=1.5": "generated.eta: ",
    "params/digits.yaml:methods.at_l2_with_generated.training.generated.share=1.0": "training.generated.share: ",
    "params/digits.yaml:methods.at_l2_with_generated.training.generated.share=0": "training.generated.share: ",
    "params/digits.yaml:methods.at_l2_with_generated.training.generated.store=other": "training.generated.store: ",
    "+params/digits.yaml:training.generated={share: 0.5}": "training.generated: unknown key",
}


@pytest.mark.parametrize("override", REFUSED)
def test_params_that_cannot_be_are_refused(override):
    with pytest.raises(InputError) as error:
        check(Params(PARAMS_FILE, [GRID, override]), named=Named("digits"))
    assert REFUSED[override] in str(error.value)
    assert str(error.value).endswith(".")


def test_methods_with_generated_images_are_the_last_cells_with_labels_of_their_own():
    params, usual = Params(PARAMS_FILE, [GRID]), Params(PARAMS_FILE)
    cells = list(grid_cells(params, "digits", "resnet8"))
    assert cells[:-2] == list(grid_cells(usual, "digits", "resnet8"))
    assert [(cell.method, cell.seed, cell.targets_seed) for cell in cells[-2:]] == [(m, SEED, SEED) for m in MIXED]
    labels = [describe(params, "digits", cell.method).label for cell in cells]
    assert labels[-2:] == ["AT L₂, generated", "SBG, generated"]
    assert len(set(labels)) == len(labels)
    assert list(grid_cells(params, "cifar10", "resnet8")) == list(grid_cells(usual, "cifar10", "resnet8"))


def test_a_model_of_few_timesteps_draws_no_images(project):
    few = "params/digits.yaml:diffusion.train_at=[50, 200, 350, 500, 700, 900]"
    check(Params(PARAMS_FILE, [few]), named=Named("digits"))  # the targets need no more
    told = r"^params/digits\.yaml: diffusion\.train_at is not all, and a model of some timesteps cannot draw images\.$"
    with pytest.raises(InputError, match=told):
        check(Params(PARAMS_FILE, [GRID, few]), named=Named("digits"))
    with pytest.raises(InputError, match=told):
        generate.run(_params(few), "digits", SEED)
