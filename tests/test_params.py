"""Laws of the schema: what stands in params.yaml is accepted, and each mistake is told by its key, in one sentence."""

from pathlib import Path

import pytest
import yaml

from pag.errors import InputError
from stages import params
from stages.params import load_params
from stages.paths import Cell, grid_cells

MISTAKES = {
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


def test_foolbox_options_are_those_of_its_attacks():
    from pag.attacks.foolbox import FOOLBOX

    assert {name: set(kind.options) for name, kind in FOOLBOX.items()} == params._FOOLBOX_OPTIONS
    for kind in FOOLBOX.values():
        options = dict.fromkeys(kind.options, 3)
        assert params.FoolboxAttackParams(eps=1.0, **options).options == options
        kind.make(options)  # Foolbox knows them


def test_grid_cells_have_names_of_their_own_and_vanilla_first():
    cells = list(grid_cells(load_params(), "digits", "resnet8"))
    assert cells[0] == Cell("digits", "resnet8", "vanilla")
    assert len({cell.classifier for cell in cells}) == len(cells)
    assert Cell("digits", "resnet8", "score_based", 0.5).name == "resnet8-score_based-lambda-0.5"
