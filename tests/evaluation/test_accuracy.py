"""Robust accuracy under every attack, which depends on neither processes nor interruptions."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.foolbox import FoolboxAttack
from pag.attacks.harness import attack_block
from pag.attacks.pgd import PGD, step_size
from pag.attacks.restarted_pgd import RestartedPGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.evaluation import blocks as evaluated_blocks
from pag.evaluation.accuracy import Robustness, evaluate, predictions
from pag.evaluation.blocks import Blocks
from pag.evaluation.intervals import wilson_interval

FIRST = ("apgd-ce",)
TWO = ("apgd-ce", "apgd-t")
THREATS = {"l2": Threat("l2", 0.15), "linf": Threat("linf", 0.04)}


def load(seed=0, classes=5):
    """A network whose logits are centred on the examples; picklable by its name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, stride=2), nn.SiLU(), nn.Flatten()]
        model = nn.Sequential(*layers, nn.Linear(32, classes)).eval()
    with torch.no_grad():
        model[-1].bias -= model(images()).mean(dim=0)
    return model


def images():
    return torch.rand(10, 1, 6, 6, generator=torch_stream(0, "images"))


def labels():
    right = predictions(load(), images())
    right[0] = (right[0] + 1) % 5
    return right


def under_autoattack(attacks=FIRST, **threats):
    return {name: AutoAttack(threat, attacks) for name, threat in (threats or THREATS).items()}


def under_pgd(restarts=2, relative_step=1.0):
    return {
        f"pgd {name}": RestartedPGD(
            PGD(threat, 2, step_size(relative_step, threat.eps, 2), random_start=True, loss="margin"), restarts
        )
        for name, threat in THREATS.items()
    }


EVERY_KIND = {
    "autoattack": AutoAttack(THREATS["linf"], FIRST),
    **under_pgd(),
    "noise": FoolboxAttack("salt_and_pepper_noise", 0.7, {"steps": 30}),
    "contrast": FoolboxAttack("binary_search_contrast_reduction", 1.5),
}


def evaluated(attacks=None, loader=load, x=None, y=None, **blocks):
    x, y = images() if x is None else x, labels() if y is None else y
    attacks = under_autoattack() if attacks is None else attacks
    return evaluate(loader, x, y, attacks, Blocks(**{"size": 4, "seed": 7} | blocks))


def flags(outcomes):
    """Every flag of every outcome, and the measures."""
    return {
        name: (
            [of.clean.tolist(), {part: robust.tolist() for part, robust in of.robust.items()}],
            of.measured_by_part(),
        )
        for name, of in outcomes.items()
    }


@pytest.fixture
def blocks_run(monkeypatch):
    """The (attack, seed) of every block that is attacked in this process."""
    calls = []

    def counted(attack, model, x, y, seed, first, told):
        calls.append((repr(attack), seed))
        return attack_block(attack, model, x, y, seed, first, told)

    monkeypatch.setattr(evaluated_blocks, "attack_block", counted)
    return calls


def test_predictions_do_not_depend_on_the_batch_size():
    model, x = load(), images()
    expected = model(x).argmax(1)
    assert all(torch.equal(predictions(model, x, size), expected) for size in (1, 3, 256))
    assert int((expected == labels()).sum()) == 9


def test_an_example_without_finite_logits_is_named_by_its_place_in_the_test_set():
    x = images()
    x[6, 0, 0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="of test example 6 are not finite"):
        predictions(load(), x, 4)

    def broken():
        model = load()
        model[0].register_forward_hook(
            lambda module, given, out: out.masked_fill(given[0][:, :, :1, :1] > 0.99, torch.nan)
        )
        return model

    x = 0.5 * images()
    x[9, 0, 0, 0] = 1.0
    with pytest.raises(FloatingPointError, match="of test example 9 are not finite"):
        evaluated(loader=broken, x=x)


def test_what_metrics_have_of_an_outcome():
    clean, robust = np.array([True, True, False, True]), np.array([True, False, False, False])
    outcome = Robustness("l2", 0.5, clean, {"apgd-ce": clean, "square": robust}, 0.9)
    measured = {"norm": "l2", "eps": 0.5, "value": 0.25, "interval": wilson_interval(1, 4, 0.9), "n": 4}
    assert outcome.measured().model_dump() == measured
    assert outcome.measured_by_part().model_dump() == {**measured, "attacks": {"apgd-ce": 0.75, "square": 0.25}}


def test_outcome_has_the_examples_in_their_order(blocks_run):
    outcomes = evaluated(under_autoattack(TWO))
    assert len(blocks_run) == len(set(blocks_run)) == 6
    for name, outcome in outcomes.items():
        assert (outcome.norm, outcome.eps) == (THREATS[name].norm, THREATS[name].eps)
        assert np.array_equal(outcome.clean, predictions(load(), images()) == labels())
        assert tuple(outcome.robust) == TWO
        assert 0 < outcome.accuracy.value < outcome.clean.mean()
        assert outcome.measured_by_part().attacks["apgd-t"] == outcome.accuracy.value
    alone = attack_block(AutoAttack(THREATS["l2"], TWO), load(), images()[4:8], labels()[4:8], blocks_run[1][1])
    assert np.array_equal(outcomes["l2"].robust["apgd-t"][4:8], alone.robust["apgd-t"])


def test_number_of_workers_changes_no_flag_of_any_attack(tmp_path, monkeypatch):
    here = evaluated(EVERY_KIND)
    assert all(0 < outcome.accuracy.value < outcome.clean.mean() for outcome in here.values())
    assert not any((outcome.withstood & ~outcome.clean).any() for outcome in here.values())
    part = evaluated(EVERY_KIND, x=images()[:4], y=labels()[:4], kept=tmp_path)
    assert flags(part) != flags(here)
    assert flags(evaluated(EVERY_KIND, workers=2, kept=tmp_path)) == flags(here)  # goes on from the first blocks
    assert len(list(tmp_path.iterdir())) == 3 * len(EVERY_KIND)
    monkeypatch.setattr(
        evaluated_blocks, "attack_block", lambda *arguments: pytest.fail("a kept block was attacked again")
    )
    assert flags(evaluated(EVERY_KIND, kept=tmp_path)) == flags(here)


def test_names_of_attacks_change_no_outcome():
    named = evaluated(under_autoattack(large=THREATS["l2"], l2=Threat("l2", 0.05)))
    assert flags({"l2": named["large"]}) == flags({"l2": evaluated()["l2"]})
    assert named["l2"].accuracy.value > named["large"].accuracy.value


def test_a_resumed_run_goes_on_after_the_finished_blocks(tmp_path, monkeypatch, blocks_run):
    whole = evaluated()
    everything = blocks_run.copy()
    blocks_run.clear()
    counted = evaluated_blocks.attack_block

    def interrupted(*arguments):
        if len(blocks_run) == 3:
            raise KeyboardInterrupt
        return counted(*arguments)

    monkeypatch.setattr(evaluated_blocks, "attack_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluated(kept=tmp_path)
    monkeypatch.setattr(evaluated_blocks, "attack_block", counted)
    assert flags(evaluated(kept=tmp_path)) == flags(whole)
    assert sorted(blocks_run) == sorted(everything)  # each once, over both runs
    assert flags(evaluated(kept=tmp_path)) == flags(whole)
    assert len(blocks_run) == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"attacks": under_autoattack(l2=Threat("l2", 0.2), linf=Threat("linf", 0.05))},
        {"x": images() * 0.99},
        {"y": torch.zeros(10, dtype=torch.int64)},
        {"loader": partial(load, 1)},
        {"size": 5},
    ],
)
def test_kept_blocks_of_something_else_are_not_taken(tmp_path, blocks_run, changes):
    evaluated(kept=tmp_path)
    blocks_run.clear()
    resumed = evaluated(kept=tmp_path, **changes)
    assert len(blocks_run) == 2 * -(-10 // changes.get("size", 4))
    assert flags(resumed) == flags(evaluated(**changes))


def test_a_damaged_kept_block_is_made_again(tmp_path, blocks_run):
    whole = evaluated(kept=tmp_path)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 6
    assert all(np.load(path, allow_pickle=False).files == ["clean", "holds", *FIRST] for path in kept)
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    kept[1].write_bytes(b"")
    blocks_run.clear()
    assert flags(evaluated(kept=tmp_path)) == flags(whole)
    assert len(blocks_run) == 2


def test_a_models_refusal_surfaces():
    with pytest.raises(RuntimeError, match="evaluation mode"):
        evaluated(loader=lambda: load().train())


@pytest.mark.parametrize(
    "changes",
    [
        {"attacks": {}},
        {"size": 0},
        {"workers": 0},
        {"y": labels()[:3]},
        {"x": images()[0]},
        {"x": images()[:0], "y": labels()[:0]},
    ],
)
def test_impossible_arguments_are_refused(changes):
    with pytest.raises(InputError):
        evaluated(**changes)


def test_more_restarts_leave_nobody_robust_whom_fewer_found():
    few, more = (evaluated(under_pgd(restarts, relative_step=0.1)) for restarts in (1, 8))
    for name in few:
        assert not (more[name].withstood & ~few[name].withstood).any()
    assert any((few[name].withstood & ~more[name].withstood).any() for name in few)
