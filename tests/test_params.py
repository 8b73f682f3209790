"""Laws of the schema: what stands in params.yaml is accepted, and each mistake is told by its key, in one sentence."""

from pathlib import Path

import pytest
import yaml

from pag.errors import InputError
from stages.params import load_params
from stages.paths import Cell, grid_cells

MISTAKES = {
    "datasets.digits.evaluation.threats.l2=-1": "datasets.digits.evaluation.threats.l2: input should be greater than 0",
    "datasets.digits.evaluation.threats={l3: 1.0}": "datasets.digits.evaluation.threats.l3",
    "datasets.digits.methods.one_image.classes_per_step=0": "datasets.digits.methods.one_image.classes_per_step",
    "datasets.digits.methods.one_image={objective: alignment, gradient: logit}": "classes_per_step: field required",
    "datasets.digits.methods.vanilla={objective: cross_entropie}": "datasets.digits.methods.vanilla",
    "datasets.digits.training.optimizer.lr=.nan": "datasets.digits.training.optimizer.lr",
    "datasets.digits.training.epochs=2.5": "datasets.digits.training.epochs",
    "datasets.digits.diffusion.train_at=[3]": "timestep",
    "datasets.digits.targets.score_based.timestep=1000": "targets.score_based.timestep is 1000",
    "architectures.resnet8.blocks=[1]": "channels and blocks",
    "grid.aligned=[one_imag]": "'one_imag'",
    "grid.datasets=[digit]": "'digit'",
    "lambda.digits.resnet8.score_based=-0.5": "lambda.digits.resnet8.score_based",
    "grid.lambdas=[0.5, 2]": "grid.lambdas.1: write 2.0",
    "seed=-1": "seed",
    "datasets.digits.data.source=mnist": "datasets.digits.data",
    "datasets.digits.data.images_per_class={train: 0, test: 1}": "datasets.digits.data.images_per_class.train",
    "datasets.cifar10.data={source: cifar10, test_fraction: 0.2, validation_fraction: 0.1, split_seed: 0}": "test_fraction",
    "datasets.cifar10_small.data.root=": "datasets.cifar10_small.data.root",
    "datasets.stl10.diffusion.image_size=0": "datasets.stl10.diffusion.image_size",
}


@pytest.mark.parametrize(("override", "told"), MISTAKES.items())
def test_mistake_is_told_by_its_key(override, told):
    with pytest.raises(InputError) as error:
        load_params(overrides=[override])
    sentence = str(error.value)
    assert told in sentence
    assert sentence.startswith("params.yaml: ")
    assert "\n" not in sentence


@pytest.mark.parametrize("override", ["lamda=1", "datasets.digits.traning.epochs=1", "seed.x=1"])
def test_override_of_an_unknown_key_is_refused(override):
    with pytest.raises(InputError, match="has no such key"):
        load_params(overrides=[override])


def test_unknown_key_in_the_file_is_refused(tmp_path):
    raw = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    raw["datasets"]["digits"]["training"]["epoch"] = 3
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(InputError, match=r"datasets\.digits\.training\.epoch: extra inputs"):
        load_params(file)


def test_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        load_params(tmp_path / "nowhere.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1", encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.yaml is not valid YAML"):
        load_params(broken)


def test_override_changes_its_key_alone():
    default, changed = load_params(), load_params(overrides=["lambda.digits.resnet8.score_based=0.25"])
    assert changed.lambda_of("digits", "resnet8", "score_based") == 0.25
    assert changed.datasets == default.datasets


@pytest.mark.parametrize("dataset", load_params().datasets)
def test_every_data_set_defines_what_the_default_grid_runs(dataset):
    params = load_params(overrides=[f"grid.datasets=[{dataset}]"])
    for architecture, lambdas in params.lambda_[dataset].items():
        assert set(params.grid.aligned) <= set(lambdas), architecture


def test_paper_numbers():
    params = load_params()
    table_8 = {
        ("cifar10", "resnet18"): {"one_image": 0.2, "class_mean": 0.2, "nearest_neighbor": 0.2, "score_based": 1.5},
        ("cifar10", "vit"): {"one_image": 0.1, "class_mean": 0.1, "nearest_neighbor": 0.1, "score_based": 3.0},
        ("stl10", "resnet18"): {"class_mean": 0.2, "score_based": 1.0},
        ("cifar100", "resnet18"): {"class_mean": 0.5, "score_based": 1.0},
    }
    for (dataset, architecture), lambdas in table_8.items():
        for method, lambda_ in lambdas.items():
            assert params.lambda_of(dataset, architecture, method) == lambda_
    for name, linf, batch_size in (("cifar10", 8, 64), ("cifar100", 8, 64), ("stl10", 4, 32), ("tiny_imagenet", 8, 64)):
        dataset = params.datasets[name]
        assert (
            dataset.evaluation.threats == dataset.training.validation_attack.threats == {"l2": 0.5, "linf": linf / 255}
        )
        assert {m.eps for m in dataset.methods.values() if m.objective == "adversarial"} == {0.5, linf / 255}
        assert dataset.training.batch_size == batch_size


def test_grid_cells_have_names_of_their_own_and_vanilla_first():
    cells = list(grid_cells(load_params(), "digits", "resnet8"))
    assert cells[0] == Cell("digits", "resnet8", "vanilla")
    assert len({cell.classifier for cell in cells}) == len(cells)
    assert Cell("digits", "resnet8", "score_based", 0.5).name == "resnet8-score_based-lambda-0.5"
