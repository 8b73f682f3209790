"""Laws of params: what stands in the files is accepted, and each mistake is one sentence with the file and the key."""

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import modify_yaml

from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.training.objectives import AlignedMargin, GradientNorm
from stages.objectives import objective_of, step_of
from stages.params import evaluation
from stages.params.check import check
from stages.params.grid import read_grid, read_lambda
from stages.params.methods import describe, method_section, source_of, training_section
from stages.params.reading import Params
from stages.params.training import TrainingParams
from stages.paths import Cell, data_root, grid_cells

FILES = [Path("params.yaml"), *sorted(Path("params").glob("*.yaml"))]
DATASETS = [path.stem for path in FILES[1:]]
MISTAKES = {
    "params/digits.yaml:targets.score_based={source: score_based, timestep: 5, draws: 1, shard_size: 9, dtype: int4}": (
        "params/digits.yaml: targets.score_based.dtype"
    ),
    "params/tiny_imagenet.yaml:targets.score_based.classes_per_image=0": "targets.score_based.classes_per_image",
    "params/tiny_imagenet.yaml:methods.score_based.classes_shared=true": (
        "methods.score_based.classes_shared needs targets of all classes"
    ),
    "params/digits.yaml:evaluation.threats.l2.eps=-1": "evaluation.threats.l2.eps: input should be greater than 0",
    "params/digits.yaml:evaluation.curve.fractions=[1.0, 0.5]": "evaluation.curve: fractions must ascend",
    "params/digits.yaml:evaluation.curve.fractions=[]": "evaluation.curve.fractions",
    "params/digits.yaml:evaluation.curve.steps=0": "evaluation.curve.steps",
    "params/digits.yaml:evaluation.threats={l3: {norm: l3, eps: 1.0}}": "params/digits.yaml: evaluation.threats.l3.norm",
    "params/digits.yaml:evaluation.threats={a: {norm: l2, eps: 1}, b: {norm: l2, eps: 1}}": "threats.b is the same as threats.a",
    "params/digits.yaml:evaluation.pgd={steps: 5, restarts: 0, relative_step: 2.0}": "params/digits.yaml: evaluation.pgd.restarts",
    "params/digits.yaml:evaluation.foolbox={attacks: {ead: {eps: 1.0, directions: 3}}, examples: 2, block_size: 2}": (
        "attacks.ead has no option 'directions'"
    ),
    "params/digits.yaml:evaluation.foolbox={attacks: {pixel: {eps: 1.0}}, examples: 2, block_size: 2}": "foolbox.attacks.pixel",
    "params/digits.yaml:methods.one_image.classes_per_step=0": "params/digits.yaml: methods.one_image.classes_per_step",
    "params/cifar100.yaml:methods.one_image.classes_scale=mean": "params/cifar100.yaml: methods.one_image.classes_scale",
    "params/digits.yaml:methods.one_image={objective: alignment, gradient: logit}": "classes_per_step: field required",
    "params/digits.yaml:methods.vanilla={objective: cross_entropie}": "params/digits.yaml: methods.vanilla",
    "params/digits.yaml:training.optimizer.lr=.nan": "training.optimizer.lr=.nan: the value is nan, which is no finite number",
    "params/digits.yaml:training.epochs=2.5": "params/digits.yaml: training.epochs",
    "params/digits.yaml:diffusion.train_at=[3]": "timestep",
    "params/digits.yaml:targets.score_based.timestep=1000": "params/digits.yaml: targets.score_based.timestep is 1000",
    "architectures.resnet8.blocks=[1]": "channels and blocks",
    "grid.aligned=[one_imag]": "'one_imag'",
    "grid.datasets=[digit]": "'digit'",
    "lambda.digits.resnet8.score_based=-0.5": "lambda.digits.resnet8.score_based",
    "grid.lambdas=[0.5, 2]": "grid.lambdas.1: write 2.0",
    "seed=-1": "seed",
    "architectures.resnet8.family=resnext": "architectures.resnet8.family names 'resnext'",
    "architectures.resnet8.depth=3": "architectures.resnet8.depth: unknown key",
    "architectures.mlp_mixer.training={batch_size: 0}": "architectures.mlp_mixer.training.batch_size",
    "~lambda.digits.resnet8.class_mean": "lambda.digits.resnet8 has no 'class_mean', which the grid runs",
    "lamda=1": "lamda: unknown key",
    "grid.aligned": "--set takes key=value",
    "seed.x=1": "has no such key",
    "params/digits.yaml:traning.epochs=1": "params/digits.yaml: traning: unknown key",
    "params/digit.yaml:training.epochs=1": "There is no data set 'digit'",
    "other.yaml:seed=1": "not in other.yaml",
    "seed=[1": "the value is not valid YAML",
    "params/digits.yaml:methods.trades.beta=-1": "params/digits.yaml: methods.trades.beta: input should be greater",
    "params/digits.yaml:methods.trades.relative_step=null": "params/digits.yaml: methods.trades: give either relative_step",
    "params/digits.yaml:methods.at_l2={objective: adversarial, norm: l2, eps: 1.0, steps: 2, step_size: 0.1, relative_step: 1.0}": (
        "params/digits.yaml: methods.at_l2: give either relative_step"
    ),
    "params/digits.yaml:methods.at_l2_with_score_based.alignment.classes_per_step=0": (
        "params/digits.yaml: methods.at_l2_with_score_based.alignment.classes_per_step"
    ),
    "params/digits.yaml:methods.at_l2_with_score_based.alignment={targets: scores, gradient: logit, classes_per_step: 1}": (
        "params/digits.yaml: methods.at_l2_with_score_based reads the targets 'scores', which targets does not define"
    ),
    "params/digits.yaml:methods.vanilla={objective: cross_entropy, training: {epoch: 3}}": (
        "params/digits.yaml: methods.vanilla.training.epoch: unknown key"
    ),
    "params/digits.yaml:methods.vanilla={objective: cross_entropy, alignment: {gradient: logit}}": (
        "params/digits.yaml: methods.vanilla.alignment: unknown key"
    ),
    "params/digits.yaml:training.batch_norm={statistics: frozen, after: 1.5}": (
        "params/digits.yaml: training.batch_norm.after: input should be less than 1"
    ),
    "params/digits.yaml:training.batch_norm={statistics: running}": "params/digits.yaml: training.batch_norm: ",
    "params/digits.yaml:training.batch_norm={statistics: frozen}": "params/digits.yaml: training.batch_norm.after: field required",
    "grid.baselines=[vanilla, score_based]": "grid.baselines is for methods without targets",
    "grid.combined={bases: [at_linf], targets: [score_based]}": "'at_linf_with_score_based'",
    "grid.combined={bases: [at_l2]}": "grid.combined.targets: field required",
    "grid.aligned_margin.targets=class_mean": "grid.aligned_margin is for methods that read the targets class_mean",
    "~lambda.digits.resnet8.aligned_margin_l2": "lambda.digits.resnet8 has no 'aligned_margin_l2', which the grid runs",
    "params/digits.yaml:methods.aligned_margin_l2.path=straight": "params/digits.yaml: methods.aligned_margin_l2.path: ",
    "params/digits.yaml:methods.aligned_margin_l2.margin=-1.0": "methods.aligned_margin_l2.margin: input should be greater",
    "params/digits.yaml:methods.aligned_margin_l2.temperature=0.0": "methods.aligned_margin_l2.temperature: input should be",
    "params/digits.yaml:methods.aligned_margin_l2.gradient=logit": "methods.aligned_margin_l2.gradient: unknown key",
    "params/digits.yaml:methods.gradient_norm.weight=-0.1": "params/digits.yaml: methods.gradient_norm.weight: input should be",
    "params/digits.yaml:methods.gradient_norm.norm=l1": "params/digits.yaml: methods.gradient_norm.norm: ",
    "params/digits.yaml:training.validation_attack.apgd_t.targets=0": "training.validation_attack.apgd_t.targets: input should be",
    "~params/digits.yaml:training.validation_attack.apgd_t": "training.validation_attack.apgd_t: field required",
    "params/digits.yaml:data.source=mnist": "params/digits.yaml: data",
    "params/digits.yaml:data.images_per_class={train: 0, test: 1}": "params/digits.yaml: data.images_per_class.train",
    "params/cifar10.yaml:data={source: cifar10, test_fraction: 0.2, validation_fraction: 0.1, split_seed: 0}": "test_fraction",
    "params/cifar10_small.yaml:data.root=": "params/cifar10_small.yaml: data.root",
    "params/digits.yaml:data.split_seed=4294967296": "data.split_seed: input should be less than 4294967296",
    "params/digits.yaml:diffusion.train_at=[3, 1000]": "diffusion: train_at has 1000, and timesteps are 0 … 999",
    "params/digits.yaml:diffusion.timesteps=1": "diffusion.timesteps: input should be greater than or equal to 2",
    "params/digits.yaml:diffusion.network.channel_mult=[]": "diffusion.network.channel_mult: ",
    "params/digits.yaml:diffusion.network.base_channels=1000000": "diffusion.network.base_channels: ",
    "params/digits.yaml:targets.score_based.shard_size=10000000": "targets.score_based.shard_size: input should be less than",
    "params/digits.yaml:training.batch_size=10000000": "training.batch_size: input should be less than or equal to 1048576",
    "params/digits.yaml:training.threads=2000": "training.threads: input should be less than or equal to 1024",
    "params/digits.yaml:training.optimizer.lr=1e300": "training.optimizer.lr: input should be less than",
    "params/digits.yaml:figures.timesteps=[]": "figures.timesteps: ",
    "params/digits.yaml:evaluation.threats={clean: {norm: l2, eps: 1.0}}": "threats.clean has the name of another measure",
    "architectures.resnet8.channels=[]": "architectures.resnet8.channels: ",
    "grid.lambdas=[0.5, 0.5]": "grid.lambdas: it has 0.5 twice",
    "grid.datasets=[digits, digits]": "grid.datasets: it has 'digits' twice",
    "grid.seeds=[3407, 1, 3407]": "grid.seeds: it has 3407 twice",
    "grid.seeds=[]": "grid.seeds: ",
    "grid.seeds=[-1]": "grid.seeds.0: ",
    "grid.targets_seeds=[1, 1]": "grid.targets_seeds: it has 1 twice",
    "grid.architectures=[]": "grid.architectures: ",
    "toy.data.train=100": "toy.data.train: input should be a multiple of 6",
    "params/digits.yaml:diffusion.samples.per_class=100000": "diffusion.samples.per_class: ",
    "toy.widths=[3, 32, 2]": "toy.widths.0: input should be 2",
    "toy.alignment.pool_per_class=1": "toy.alignment.pool_per_class: ",
    "params/stl10.yaml:diffusion.image_size=0": "params/stl10.yaml: diffusion.image_size",
}
READING_ANOTHER = {"objective": "alignment", "gradient": "logit", "classes_per_step": 1, "targets": "one_image"}


def checked(*overrides, path=Path("params.yaml")):
    params = Params(path, overrides)
    check(params, DATASETS)
    return params


def test_every_file_is_accepted():
    checked()


@pytest.mark.parametrize(("override", "expected"), MISTAKES.items())
def test_mistake_is_a_sentence_with_its_key(override, expected):
    with pytest.raises(InputError) as error:
        checked(override)
    first, *others = str(error.value).splitlines()
    assert expected in first
    assert first.endswith(".")
    assert all(line.partition(": ")[0] == first.partition(": ")[0] for line in others)  # of what else it is wrong for


def lines(*overrides):
    with pytest.raises(InputError) as error:
        checked(*overrides)
    return str(error.value).splitlines()


def test_all_mistakes_of_all_files_are_told_at_once():
    beginnings = {
        "seed=-1": "params.yaml: seed: ",
        "params/digits.yaml:training.epochs=0": "params/digits.yaml: training.epochs: ",
        "params/digits.yaml:figures.images=x": "params/digits.yaml: figures.images: ",
        "params/cifar10.yaml:methods.score_based.targets=nowhere": "params/cifar10.yaml: methods.score_based reads ",
        "params/cifar10.yaml:figures.timesteps=[5000]": "params/cifar10.yaml: figures.timesteps is 5000",
    }
    together = lines(*beginnings)
    assert len(together) == len(beginnings)
    for line, beginning in zip(together, beginnings.values(), strict=True):
        assert line.startswith(beginning)
    of_grid = lines("grid.aligned=[score_based, nobody, nothing]", "grid.heuristics=[nowhere]")
    assert [line.split("'")[1] for line in of_grid] == ["nobody", "nothing", "nowhere"]


def test_a_mistake_is_told_once():
    assert len(lines("~params/digits.yaml:training.epochs", "params/digits.yaml:training.epoch=1")) == 1
    assert len(lines("~params/digits.yaml:training.epochs", "params/digits.yaml:training.other=1")) == 2
    assert len(lines("params/digits.yaml:diffusion.train_at=[5, x]")) == 1
    assert len(lines("params/digits.yaml:diffusion.train_at=x")) == 1


def test_a_grid_trains_something():
    with pytest.raises(InputError, match=r"params\.yaml: grid: it has no method"):
        checked("grid.baselines=[]", "grid.aligned_margin.methods=[]", "grid.aligned=[]")


def test_a_home_that_nobody_has_is_told():
    params = Params(overrides=["data_root=~nobody_at_all/images"])
    with pytest.raises(InputError, match="~nobody_at_all/images is in the home of somebody"):
        data_root(params)


@pytest.fixture
def copied(tmp_path):
    """The files in a folder of their own."""
    shutil.copy("params.yaml", tmp_path)
    shutil.copytree("params", tmp_path / "params")
    return tmp_path


def test_unknown_key_in_a_file_is_refused(copied):
    file = copied / "params/digits.yaml"
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    raw["training"]["epoch"] = raw["training"].pop("epochs")
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(InputError, match=r"params/digits\.yaml: training\.epoch: unknown key"):
        checked(path=copied / "params.yaml")


def test_missing_or_broken_file_is_named(copied):
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        checked(path=copied / "nowhere.yaml")
    (copied / "params/digits.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(InputError, match=r"digits\.yaml is not valid YAML"):
        checked(path=copied / "params.yaml")


def test_a_data_set_of_ones_own_is_one_new_file(copied):
    shutil.copy(copied / "params/digits.yaml", copied / "params/mine.yaml")
    grid = read_grid(Params())
    lambdas = {"resnet8": dict.fromkeys([*grid.aligned, *grid.aligned_margin.methods], 1.0)}
    settings = ["grid.datasets=[mine]", f"lambda.mine={yaml.safe_dump(lambdas, default_flow_style=True)}"]
    params = Params(copied / "params.yaml", settings)
    check(params)
    assert next(grid_cells(params, "mine", "resnet8")).dataset == "mine"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_files_are_in_the_form_that_dvc_writes(path, copied):
    """`dvc exp run -S` alters a key: the rest of the file must stay as it is."""
    before = path.read_text(encoding="utf-8")
    with modify_yaml(copied / path):
        pass
    assert (copied / path).read_text(encoding="utf-8") == before


def test_override_changes_its_key_alone():
    default, changed = Params(), Params(overrides=["lambda.digits.resnet8.score_based=0.25"])
    assert read_lambda(changed, "digits", "resnet8", "score_based") == 0.25
    changed.main.content["lambda"]["digits"]["resnet8"]["score_based"] = 2.0
    assert changed.main.content == default.main.content


@pytest.mark.parametrize("override", ["compiled=true", "+compiled=true"])
def test_override_may_name_an_optional_key(override):
    sign, name = ("+", override[1:]) if override.startswith("+") else ("", override)
    params = checked(f"{sign}params/digits.yaml:training.{name}")
    assert params.dataset("digits").read("training", TrainingParams).compiled


def test_override_takes_a_key_away():
    params = checked("~params/digits.yaml:training.batch_norm")
    assert "batch_norm" not in params.dataset("digits").content["training"]


def test_missing_key_is_named_when_it_is_read():
    with pytest.raises(InputError, match=r"params\.yaml: lambda\.digits has no 'resnet9' \(it has resnet8\)"):
        read_lambda(Params(), "digits", "resnet9", "score_based")


def test_listed_method_must_read_the_store_that_its_stage_depends_on():
    override = f"params/digits.yaml:methods.score_based={READING_ANOTHER}"
    params = checked(override, "grid.aligned=[one_image]")
    assert source_of("score_based", method_section(params, "digits", "score_based")) == "one_image"
    with pytest.raises(
        InputError, match=r"grid\.aligned is for methods that read the targets score_based, and .*one_image"
    ):
        checked(override)


@pytest.mark.parametrize(
    ("dataset", "name", "value"),
    [
        ("digits", "vanilla", ("cross_entropy", None, None, None, "Vanilla", "vanilla")),
        ("digits", "class_mean", ("alignment", "class_mean", "class_mean", "image", "CM", "heuristic")),
        (
            "digits",
            "nearest_neighbor_own_class",
            (
                "alignment",
                "nearest_neighbor_own_class",
                "nearest_neighbor",
                "own_class",
                "NN (own class)",
                "own-class heuristic",
            ),
        ),
        ("digits", "score_based", ("alignment", "score_based", "score_based", None, "SBG", "score-based")),
        (
            "digits",
            "trades_with_score_based",
            ("trades", "score_based", "score_based", None, "TRADES + SBG", "adversarial"),
        ),
        ("digits", "at_linf", ("adversarial", None, None, None, "AT L∞", "adversarial")),
        ("digits", "fgsm_linf", ("adversarial", None, None, None, "FGSM L∞", "adversarial")),
        ("digits", "gradient_norm", ("gradient_norm", None, None, None, "gradient norm L∞", "gradient-norm")),
        (
            "cifar10",
            "aligned_margin_l2",
            ("aligned_margin", "kernel", "kernel", "own_class", "aligned margin L₂ + Kernel", "aligned-margin"),
        ),
        ("cifar10", "published", ("alignment", "published", "imported", None, "published SBG", "imported")),
        (
            "cifar10",
            "frozen_with_score_based",
            ("alignment", "score_based", "score_based", None, "frozen stats + SBG", "score-based"),
        ),
    ],
)
def test_a_method_is_described_by_its_section_and_not_by_its_name(dataset, name, value):
    method = describe(Params(), dataset, name)
    assert (method.objective, method.source, method.kind, method.relative_to, method.label, method.family) == value
    params = Params()
    methods = params.dataset(dataset).content["methods"]
    section = {"targets": method.source, **methods[name]} if method.objective == "alignment" else methods[name]
    methods["renamed"] = section
    assert describe(params, dataset, "renamed") == method.model_copy(update={"name": "renamed"})


def test_method_trains_with_its_own_values_then_its_architectures_then_the_data_sets():
    own = "{objective: cross_entropy, training: {epochs: 3, optimizer: {name: sgd, lr: 0.1, weight_decay: 2.0e-4}}}"
    params = checked(
        f"params/digits.yaml:methods.vanilla={own}", "architectures.resnet8.training={epochs: 7, batch_size: 32}"
    )
    usual = params.dataset("digits").read("training", TrainingParams)
    of_method, of_architecture = (training_section(params, "digits", "resnet8", m) for m in ("vanilla", "score_based"))
    assert (of_method.epochs, of_method.batch_size, of_method.optimizer.lr) == (3, 32, 0.1)
    assert (of_architecture.epochs, of_architecture.batch_size) == (7, 32)
    assert of_architecture.model_copy(update={"epochs": usual.epochs, "batch_size": usual.batch_size}) == usual
    assert training_section(params, "digits", "resnet18", "score_based") == usual


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_lambda_weighs_is_the_papers_sum_where_few_of_many_classes_are_drawn(dataset):
    params = Params()
    methods = params.dataset(dataset).content["methods"]
    names = [name for name, of in methods.items() if of["objective"] == "alignment"]
    assert names
    for name in names:
        objective = objective_of(method_section(params, dataset, name), 100, 1.0)
        assert objective.classes_scale == ("drawn" if dataset in ("cifar100", "tiny_imagenet") else "expectation")


def test_methods_train_by_the_objective_that_their_section_says():
    of = {name: objective_of(method_section(Params(), "digits", name), 10, 1.5) for name in (
        "aligned_margin_l2", "aligned_margin_linf_random_path", "aligned_margin_l2_without_margin", "fgsm_linf", "gradient_norm",
    )}  # fmt: skip
    assert of["aligned_margin_l2"] == AlignedMargin(
        Threat("l2", 1.2), 1.5, 10, margin=1.0, path="stored", temperature=2.0
    )
    assert of["aligned_margin_linf_random_path"].path == "random"
    assert of["aligned_margin_l2_without_margin"].margin == 0
    fgsm = of["fgsm_linf"].attack
    assert (fgsm.steps, fgsm.step_size, fgsm.random_start) == (1, 1.25 * fgsm.threat.eps, True)
    assert isinstance(of["gradient_norm"], GradientNorm)
    assert read_lambda(Params(), "digits", "resnet8", "aligned_margin_linf_without_alignment") == 0


def test_steps_are_relative_to_eps_or_absolute():
    assert step_of(method_section(Params(), "digits", "at_l2")) == 1.5 * 0.9 / 7
    override = (
        "params/digits.yaml:methods.at_l2={objective: adversarial, norm: l2, eps: 0.9, steps: 7, step_size: 0.007}"
    )
    assert step_of(method_section(Params(overrides=[override]), "digits", "at_l2")) == 0.007


def test_combined_methods_are_the_last_cells_of_the_grid():
    params = checked("grid.combined={bases: [at_l2, trades], targets: [score_based]}")
    cells = [cell.method for cell in grid_cells(params, "digits", "resnet8")]
    usual = [cell.method for cell in grid_cells(Params(), "digits", "resnet8")]
    assert cells == [*usual, "at_l2_with_score_based", "trades_with_score_based"]
    assert [read_lambda(params, "digits", "resnet8", method) for method in cells[-2:]] == [0.2, 0.5]


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_data_set_defines_what_the_default_grid_runs(dataset):
    first = next(iter(Params().main.content["lambda"][dataset]))  # the others run some methods of the paper alone
    checked(f"grid.datasets=[{dataset}]", f"grid.architectures=[{first}]")


def test_paper_numbers():
    params = Params()
    table_8 = {
        ("cifar10", "resnet18"): {"one_image": 0.2, "class_mean": 0.2, "nearest_neighbor": 0.2, "score_based": 1.5},
        ("cifar10", "vit"): {"one_image": 0.1, "class_mean": 0.1, "nearest_neighbor": 0.1, "score_based": 3.0},
        ("stl10", "resnet18"): {"class_mean": 0.2, "score_based": 1.0},
        ("cifar100", "resnet18"): {"class_mean": 0.5, "score_based": 1.0},
    }
    for (dataset, architecture), lambdas in table_8.items():
        for method, lambda_ in lambdas.items():
            assert read_lambda(params, dataset, architecture, method) == lambda_
    for name, linf, batch_size in (("cifar10", 8, 64), ("cifar100", 8, 64), ("stl10", 4, 32), ("tiny_imagenet", 8, 64)):
        file = params.dataset(name)
        training = training_section(params, name, "resnet18", "vanilla")
        threats = {n: t.eps for n, t in file.read("evaluation", evaluation.EvaluationParams).threats.items()}
        assert training.validation_attack.threats == {"l2": 0.5, "linf": linf / 255}
        assert threats.items() >= training.validation_attack.threats.items()
        assert {m["eps"] for m in file.content["methods"].values() if m["objective"] == "adversarial"} == {
            0.5,
            linf / 255,
        }
        assert training.batch_size == batch_size
    assert training_section(params, "cifar10", "mlp_mixer", "score_based").batch_size == 128


def test_foolbox_options_are_those_of_its_attacks():
    from pag.attacks.foolbox import FoolboxAttack
    from pag.attacks.foolbox_options import FOOLBOX

    for name, kind in FOOLBOX.items():
        options = dict.fromkeys(kind.options, 3)
        assert evaluation.FoolboxAttackParams(eps=1.0, **options).options == options
        FoolboxAttack(name, 1.0, options).make()  # Foolbox knows them


def test_grid_cells_have_names_of_their_own_and_vanilla_first():
    cells = list(grid_cells(Params(), "digits", "resnet8"))
    assert cells[0] == Cell("digits", "resnet8", "vanilla", 3407)
    assert len({cell.classifier for cell in cells}) == len(cells)
    assert Cell("digits", "resnet8", "score_based", 1, 2, 0.5).name == "digits-resnet8-score_based-lambda-0.5-1-2"
