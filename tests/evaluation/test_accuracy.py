"""Robust accuracy under every attack, which depends on neither processes nor interruptions."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from pag.attacks.autoattack import run_block
from pag.attacks.foolbox import FoolboxAttack
from pag.attacks.pgd import PGD, RestartedPGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.evaluation import accuracy as evaluation
from pag.evaluation.accuracy import (
    AttackOutcome,
    ThreatOutcome,
    clean_accuracy,
    evaluate_autoattack,
    evaluate_foolbox,
    evaluate_pgd,
    predictions,
)
from pag.evaluation.intervals import proportion, wilson_interval

ATTACKS = ("apgd-ce",)
TWO_ATTACKS = ("apgd-ce", "apgd-t")
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


def load_in_training_mode():
    return load().train()


def images():
    return torch.rand(10, 1, 6, 6, generator=torch_stream(0, "images"))


def labels():
    right = predictions(load(), images())
    right[0] = (right[0] + 1) % 5
    return right


def evaluate(workers=1, kept=None, loader=load, **changes):
    arguments = {"images": images(), "labels": labels(), "threats": THREATS, "block_size": 4, "seed": 7}
    arguments |= {"workers": workers, "kept": kept, "attacks": ATTACKS}
    return evaluate_autoattack(loader, **arguments | changes)


def as_bytes(outcomes):
    flags = {name: [outcome.clean, *outcome.robust.values()] for name, outcome in outcomes.items()}
    numbers = json.dumps({name: outcome.as_dict() for name, outcome in outcomes.items()})
    return numbers, {name: b"".join(value.tobytes() for value in values) for name, values in flags.items()}


@pytest.fixture
def blocks_run(monkeypatch):
    """The (norm, seed) of every block that is attacked in this process."""
    calls = []

    def counted(model, x, y, threat, seed, attacks):
        calls.append((threat.norm, seed))
        return run_block(model, x, y, threat, seed, attacks)

    monkeypatch.setattr(evaluation, "run_block", counted)
    return calls


def test_predictions_do_not_depend_on_the_batch_size():
    model, x = load(), images()
    expected = model(x).argmax(1)
    assert all(torch.equal(predictions(model, x, size), expected) for size in (1, 3, 256))
    assert clean_accuracy(model, x, labels()) == proportion(expected == labels())
    assert clean_accuracy(model, x, labels()).value == 0.9


def test_outcome_as_a_dict():
    clean, robust = np.array([True, True, False, True]), np.array([True, False, False, False])
    outcome = ThreatOutcome(Threat("l2", 0.5), clean, {"apgd-ce": clean, "square": robust}, 0.9)
    measured = {"norm": "l2", "eps": 0.5, "value": 0.25, "interval": list(wilson_interval(1, 4, 0.9)), "n": 4}
    assert outcome.as_dict() == {**measured, "attacks": {"apgd-ce": 0.75, "square": 0.25}}
    assert AttackOutcome("l2", 0.5, robust, 0.9).as_dict() == measured


def test_outcome_has_the_examples_in_their_order(blocks_run):
    outcomes = evaluate(attacks=TWO_ATTACKS)
    assert len(blocks_run) == len(set(blocks_run)) == 6
    for name, outcome in outcomes.items():
        assert outcome.threat == THREATS[name]
        assert np.array_equal(outcome.clean, predictions(load(), images()) == labels())
        assert tuple(outcome.robust) == TWO_ATTACKS
        assert 0 < outcome.robust_accuracy.value < outcome.clean.mean()
        assert list(outcome.attacks.values())[-1] == outcome.robust_accuracy.value
    alone = run_block(load(), images()[4:8], labels()[4:8], THREATS["l2"], blocks_run[1][1], TWO_ATTACKS)
    assert np.array_equal(outcomes["l2"].robust["apgd-t"][4:8], alone.robust["apgd-t"])


def test_number_of_workers_changes_no_byte(tmp_path):
    here = evaluate(1)
    assert as_bytes(evaluate(2)) == as_bytes(here)
    assert as_bytes(evaluate(2, tmp_path, images=images()[:4], labels=labels()[:4])) != as_bytes(here)
    assert as_bytes(evaluate(2, tmp_path)) == as_bytes(here)  # goes on from the first blocks of the line before


def test_names_of_threats_change_no_outcome():
    named = evaluate(threats={"large": THREATS["l2"], "l2": Threat("l2", 0.05)})
    assert as_bytes({"l2": named["large"]}) == as_bytes({"l2": evaluate()["l2"]})
    assert named["l2"].robust_accuracy.value > named["large"].robust_accuracy.value


def test_a_resumed_run_goes_on_after_the_finished_blocks(tmp_path, monkeypatch, blocks_run):
    whole = evaluate()
    everything = blocks_run.copy()
    blocks_run.clear()
    counted = evaluation.run_block

    def interrupted(*arguments):
        if len(blocks_run) == 3:
            raise KeyboardInterrupt
        return counted(*arguments)

    monkeypatch.setattr(evaluation, "run_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(kept=tmp_path)
    monkeypatch.setattr(evaluation, "run_block", counted)
    assert as_bytes(evaluate(kept=tmp_path)) == as_bytes(whole)
    assert sorted(blocks_run) == sorted(everything)  # each once, over both runs
    assert as_bytes(evaluate(kept=tmp_path)) == as_bytes(whole)
    assert len(blocks_run) == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"threats": {"l2": Threat("l2", 0.2), "linf": Threat("linf", 0.05)}},
        {"images": images() * 0.99},
        {"labels": torch.zeros(10, dtype=torch.int64)},
        {"loader": partial(load, 1)},
        {"block_size": 5},
    ],
)
def test_kept_blocks_of_something_else_are_not_taken(tmp_path, blocks_run, changes):
    evaluate(kept=tmp_path)
    blocks_run.clear()
    resumed = evaluate(kept=tmp_path, **changes)
    assert len(blocks_run) == 2 * -(-10 // changes.get("block_size", 4))
    assert as_bytes(resumed) == as_bytes(evaluate(**changes))


def test_a_damaged_kept_block_is_made_again(tmp_path, blocks_run):
    whole = evaluate(kept=tmp_path)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 6
    assert all(np.load(path, allow_pickle=False).files == ["clean", *ATTACKS] for path in kept)
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    kept[1].write_bytes(b"")
    blocks_run.clear()
    assert as_bytes(evaluate(kept=tmp_path)) == as_bytes(whole)
    assert len(blocks_run) == 2


def test_a_workers_refusal_surfaces():
    with pytest.raises(RuntimeError, match="evaluation mode"):
        evaluate(2, loader=load_in_training_mode)


@pytest.mark.parametrize(
    "changes",
    [
        {"threats": {}},
        {"block_size": 0},
        {"workers": 0},
        {"labels": labels()[:3]},
        {"images": images()[0]},
        {"attacks": ()},
    ],
)
def test_impossible_arguments_are_refused(changes):
    with pytest.raises(InputError):
        evaluate(**changes)


FOOLBOX = (
    FoolboxAttack("salt_and_pepper_noise", 0.7, {"steps": 30}),
    FoolboxAttack("binary_search_contrast_reduction", 1.5),
)


def under_pgd(workers=1, kept=None, restarts=2, relative_step=1.0):
    attacks = {
        name: RestartedPGD(PGD(t, 2, relative_step * t.eps / 2, random_start=True, loss="margin"), restarts)
        for name, t in THREATS.items()
    }
    return evaluate_pgd(load, images(), labels(), attacks, 4, 7, workers, kept)


def under_foolbox(workers=1, kept=None):
    return evaluate_foolbox(load, images(), labels(), FOOLBOX, 4, 7, workers, kept)


@pytest.mark.parametrize(("evaluate_under", "workers"), [(under_pgd, 1), (under_foolbox, 2)])
def test_other_attacks_depend_on_neither_processes_nor_interruptions(evaluate_under, workers, tmp_path, monkeypatch):
    here = evaluate_under()
    right = (predictions(load(), images()) == labels()).numpy()
    assert all(0 < outcome.robust_accuracy.value < right.mean() for outcome in here.values())
    assert not any((outcome.robust & ~right).any() for outcome in here.values())
    flags = {name: outcome.robust.tolist() for name, outcome in here.items()}
    assert {name: outcome.robust.tolist() for name, outcome in evaluate_under(workers, kept=tmp_path).items()} == flags
    assert len(list(tmp_path.iterdir())) == 3 * len(flags)

    def never(*arguments):
        raise AssertionError("a kept block was attacked again")

    monkeypatch.setattr(evaluation, "attack_block", never)
    monkeypatch.setattr(FoolboxAttack, "run", never)
    assert {name: outcome.robust.tolist() for name, outcome in evaluate_under(kept=tmp_path).items()} == flags


def test_more_restarts_leave_nobody_robust_whom_fewer_found():
    few, more = (under_pgd(restarts=restarts, relative_step=0.1) for restarts in (1, 8))
    for name in THREATS:
        assert not (more[name].robust & ~few[name].robust).any()
    assert any((few[name].robust & ~more[name].robust).any() for name in THREATS)
