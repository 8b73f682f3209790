"""Laws of the schema: what stands in params.yaml is accepted, and each mistake is told by its key, in one sentence."""

from pathlib import Path

import pytest
import yaml

from pag.base.errors import InputError
from stages.params import evaluation
from stages.params.params import load_params
from stages.paths import Cell, grid_cells

MISTAKES = {
    "datasets.digits.targets.score_based={source: score_based, timestep: 5, draws: 1, shard_size: 9, dtype: int4}": (
        "datasets.digits.targets.score_based.dtype"
    ),
    "datasets.tiny_imagenet.targets.score_based.classes_per_image=0": "tiny_imagenet.targets.score_based.classes_per_image",
    "datasets.tiny_imagenet.methods.score_based={objective: alignment, gradient: logit, classes_per_step: 5, classes_shared: on}": (
        "methods.score_based.classes_shared needs targets of all classes"
    ),
    "datasets.digits.evaluation.threats.l2.eps=-1": "datasets.digits.evaluation.threats.l2.eps: input should be greater than 0",
    "datasets.digits.evaluation.threats={l3: {norm: l3, eps: 1.0}}": "datasets.digits.evaluation.threats.l3.norm",
    "datasets.digits.evaluation.threats={a: {norm: l2, eps: 1.0}, b: {norm: l2, eps: 1.0}}": "threats.b is the same as threats.a",
    "datasets.digits.evaluation.pgd={steps: 5, restarts: 0, relative_step: 2.0}": "datasets.digits.evaluation.pgd.restarts",
    "datasets.digits.evaluation.foolbox={attacks: {ead: {eps: 1.0, directions: 3}}, examples: 2, block_size: 2}": (
        "attacks.ead has no option 'directions'"
    ),
    "datasets.digits.evaluation.foolbox={attacks: {pixel: {eps: 1.0}}, examples: 2, block_size: 2}": "foolbox.attacks.pixel",
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
    "datasets.digits.methods.trades.beta=-1": "datasets.digits.methods.trades.beta: input should be greater",
    "datasets.digits.methods.trades.relative_step=null": "datasets.digits.methods.trades: give either relative_step",
    "datasets.digits.methods.at_l2={objective: adversarial, norm: l2, eps: 1.0, steps: 2, step_size: 0.1, relative_step: 1.0}": (
        "datasets.digits.methods.at_l2: give either relative_step"
    ),
    "datasets.digits.methods.at_l2_with_score_based.alignment.classes_per_step=0": (
        "datasets.digits.methods.at_l2_with_score_based.alignment.classes_per_step"
    ),
    "datasets.digits.methods.at_l2_with_score_based.alignment={targets: scores, gradient: logit, classes_per_step: 1}": (
        "datasets.digits: methods.at_l2_with_score_based names 'scores', which targets does not define"
    ),
    "datasets.digits.methods.vanilla={objective: cross_entropy, training: {epoch: 3}}": (
        "datasets.digits.methods.vanilla.training.epoch: unknown key"
    ),
    "datasets.digits.methods.vanilla={objective: cross_entropy, alignment: {gradient: logit}}": (
        "datasets.digits.methods.vanilla.alignment: unknown key"
    ),
    "datasets.digits.training.batch_norm={statistics: frozen, after: 1.5}": (
        "datasets.digits.training.batch_norm.after: input should be less than 1"
    ),
    "datasets.digits.training.batch_norm={statistics: running}": "datasets.digits.training.batch_norm: ",
    "datasets.digits.training.batch_norm={statistics: frozen}": "datasets.digits.training.batch_norm.after: field required",
    "grid.baselines=[vanilla, score_based]": "grid.baselines is for methods without targets",
    "grid.combined={bases: [at_linf], targets: [score_based]}": "'at_linf_with_score_based'",
    "grid.combined={bases: [at_l2]}": "grid.combined.targets: field required",
    "datasets.digits.data.source=mnist": "datasets.digits.data",
    "datasets.digits.data.images_per_class={train: 0, test: 1}": "datasets.digits.data.images_per_class.train",
    "datasets.cifar10.data={source: cifar10, test_fraction: 0.2, validation_fraction: 0.1, split_seed: 0}": "test_fraction",
    "datasets.cifar10_small.data.root=": "datasets.cifar10_small.data.root",
    "datasets.stl10.diffusion.image_size=0": "datasets.stl10.diffusion.image_size",
}
READING_ANOTHER = {"objective": "alignment", "gradient": "logit", "classes_per_step": 1, "targets": "one_image"}


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
    training = raw["datasets"]["digits"]["training"]
    training["epoch"] = training.pop("epochs")
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(InputError, match=r"datasets\.digits\.training\.epoch: unknown key"):
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


def test_listed_method_must_read_the_store_that_its_stage_waits_for():
    override = f"datasets.digits.methods.score_based={READING_ANOTHER}"
    assert (
        load_params(overrides=[override, "grid.aligned=[one_image]"]).dataset("digits").source("score_based")
        == "one_image"
    )
    with pytest.raises(
        InputError, match=r"grid\.aligned is for methods that read the targets score_based, and .*one_image"
    ):
        load_params(overrides=[override])


def test_a_methods_name_tells_its_store_unless_it_says_another():
    digits = load_params().dataset("digits")
    sources = {name: digits.source(name) for name in ("vanilla", "trades", "class_mean", "trades_with_score_based")}
    assert sources == {
        "vanilla": None, "trades": None, "class_mean": "class_mean", "trades_with_score_based": "score_based",
    }  # fmt: skip


def test_method_trains_with_its_own_values_where_it_has_some():
    override = (
        "{objective: cross_entropy, training: {epochs: 3, optimizer: {name: sgd, lr: 0.1, weight_decay: 2.0e-4}}}"
    )
    params = load_params(overrides=[f"datasets.digits.methods.vanilla={override}"])
    usual, own = params.dataset("digits").training, params.training("digits", "vanilla")
    assert (own.epochs, own.optimizer.name, own.optimizer.weight_decay) == (3, "sgd", 2e-4)
    assert own.model_copy(update={"epochs": usual.epochs, "optimizer": usual.optimizer}) == usual
    assert params.training("digits", "score_based") == usual


def test_steps_are_relative_to_eps_or_absolute():
    relative = load_params().method("digits", "at_l2")
    assert relative.step == 1.5 * 0.9 / 7
    override = "datasets.digits.methods.at_l2={objective: adversarial, norm: l2, eps: 0.9, steps: 7, step_size: 0.007}"
    assert load_params(overrides=[override]).method("digits", "at_l2").step == 0.007


def test_combined_methods_are_the_last_cells_of_the_grid():
    plain, params = (
        load_params(),
        load_params(overrides=["grid.combined={bases: [at_l2, trades], targets: [score_based]}"]),
    )
    cells = [cell.method for cell in grid_cells(params, "digits", "resnet8")]
    usual = [cell.method for cell in grid_cells(plain, "digits", "resnet8")]
    assert cells == [*usual, "at_l2_with_score_based", "trades_with_score_based"]
    assert [params.lambda_of("digits", "resnet8", method) for method in cells[-2:]] == [0.2, 0.5]


@pytest.mark.parametrize("dataset", load_params().datasets)
def test_every_data_set_defines_what_the_default_grid_runs(dataset):
    params = load_params(overrides=[f"grid.datasets=[{dataset}]"])
    first = next(iter(params.lambda_[dataset]))  # the others run some methods of the paper alone
    assert set(params.grid.aligned) <= set(params.lambda_[dataset][first])


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
        threats = {name: threat.eps for name, threat in dataset.evaluation.threats.items()}
        assert dataset.training.validation_attack.threats == {"l2": 0.5, "linf": linf / 255}
        assert threats.items() >= dataset.training.validation_attack.threats.items()
        assert {m.eps for m in dataset.methods.values() if m.objective == "adversarial"} == {0.5, linf / 255}
        assert dataset.training.batch_size == batch_size


def test_foolbox_options_are_those_of_its_attacks():
    from pag.attacks.foolbox import FoolboxAttack
    from pag.attacks.foolbox_options import FOOLBOX

    for name, kind in FOOLBOX.items():
        options = dict.fromkeys(kind.options, 3)
        assert evaluation.FoolboxAttackParams(eps=1.0, **options).options == options
        FoolboxAttack(name, 1.0, options).make()  # Foolbox knows them


def test_grid_cells_have_names_of_their_own_and_vanilla_first():
    cells = list(grid_cells(load_params(), "digits", "resnet8"))
    assert cells[0] == Cell("digits", "resnet8", "vanilla")
    assert len({cell.classifier for cell in cells}) == len(cells)
    assert Cell("digits", "resnet8", "score_based", 0.5).name == "resnet8-score_based-lambda-0.5"
