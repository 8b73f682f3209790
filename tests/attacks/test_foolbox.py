"""Foolbox's attacks on one block: the closed forms of linear models, Foolbox's own count, and what is left untouched."""

import pickle
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from pag.attacks.foolbox import FoolboxAttack, foolbox
from pag.attacks.foolbox_options import FOOLBOX
from pag.attacks.harness import attack_block
from pag.base.errors import InputError
from pag.base.randomness import torch_stream

QUICK = {
    "salt_and_pepper_noise": {"steps": 40},
    "binary_search_contrast_reduction": {},
    "gaussian_blur": {"steps": 20},
    "linear_search_blended_uniform_noise": {"directions": 20, "steps": 40},
    "l0_fmn": {"steps": 60},
    "l1_fmn": {"steps": 80},
    "ead": {"binary_search_steps": 6, "steps": 60, "initial_const": 1.0},
}
SHAPE = (2, 4, 4)
ENTRIES = 32


def linear(scale=1.0):
    """Two classes, class 1 where `w · (x − ½) + ½ > 0`; with 12 images around there, labelled by it but for the first."""
    u, v = torch.rand(2, ENTRIES, generator=torch_stream(0, "weights"))
    w = torch.where(u > 0.5, 0.5 + v / 2, -0.5 - v / 2)  # of like sizes, so that one entry is not enough
    model = nn.Sequential(nn.Flatten(), nn.Linear(ENTRIES, 2)).eval()
    with torch.no_grad():
        model[1].weight.copy_(scale * torch.stack([-w, w]))
        model[1].bias.copy_(scale * torch.stack([w.sum() / 2 - 0.5, 0.5 - w.sum() / 2]))
    x = 0.5 + 0.8 * (torch.rand(12, *SHAPE, generator=torch_stream(0, "images")) - 0.5)
    with torch.no_grad():
        labels = model(x).argmax(1)
    labels[0] = 1 - labels[0]
    return model, x, labels


def smallest(model, x, norm):
    """The size of the smallest perturbation that reaches the boundary, by Hölder; of L0 with pixels in [0, 1]. `(B,)`."""
    w = model[1].weight[1].detach().double()
    side = (x.flatten(1).double() - 0.5) @ w + 0.5
    distance = side.abs()
    if norm == "l2":
        return distance / w.norm()
    if norm == "l1":
        return distance / w.abs().max()
    towards = -side.sign()[:, None] * w  # the direction in which each entry helps
    room = torch.where(towards > 0, 1 - x.flatten(1).double(), x.flatten(1).double())
    gains = (room * w.abs()).sort(dim=1, descending=True).values.cumsum(dim=1)
    return 1.0 + (gains <= distance[:, None]).sum(dim=1)


def run(name, eps, model, x, labels, seed=0):
    return attack_block(FoolboxAttack(name, eps, QUICK[name]), model, x, labels, seed)


def robust(outcome):
    """The flags after the one attack that was run."""
    (flags,) = outcome.robust.values()
    return flags


@pytest.mark.parametrize("name", FOOLBOX)
def test_nobody_is_fooled_nearer_than_the_boundary_of_a_linear_model(name):
    model, x, labels = linear()
    attack = FoolboxAttack(name, 1.0, QUICK[name])
    nearest = smallest(model, x, attack.threat.norm)
    middle = float(nearest.sort().values[6])
    for eps in (0.5 * float(nearest.min()), middle, 2 * middle):
        outcome = run(name, eps, model, x, labels)
        assert outcome.clean.tolist() == [False] + [True] * 11
        fooled = outcome.clean & ~robust(outcome)
        sizes = attack.threat.size(outcome.x_adv - x)
        assert (nearest[fooled] <= eps * (1 + 1e-4)).all()
        assert (sizes[fooled] >= nearest[fooled] * (1 - 1e-4)).all()
        assert (sizes <= eps * (1 + 1e-4)).all()
        assert (sizes[~fooled] == 0).all()
        assert outcome.x_adv.min() >= 0
        assert outcome.x_adv.max() <= 1
        assert torch.equal(robust(outcome)[1:], model(outcome.x_adv).argmax(1)[1:] == labels[1:])
        assert not robust(outcome)[0]


@pytest.mark.parametrize(("name", "slack"), [("l0_fmn", 2.0), ("l1_fmn", 2.5), ("ead", 2.0)])
def test_attacks_by_gradients_find_the_boundary_of_a_linear_model(name, slack):
    model, x, labels = linear()
    eps = float(slack * smallest(model, x, FOOLBOX[name].norm).max())
    assert not robust(run(name, eps, model, x, labels)).any()


@pytest.mark.parametrize("name", FOOLBOX)
def test_larger_eps_leaves_no_more_robust(name):
    model, x, labels = linear()
    flags = [robust(run(name, eps, model, x, labels)) for eps in (0.02, 0.3, 1.5, 40.0)]
    assert all(not (after & ~before).any() for before, after in pairwise(flags))
    assert 11 >= flags[0].sum() > flags[-1].sum()


@pytest.mark.parametrize("name", FOOLBOX)
def test_a_constant_classifier_is_never_fooled(name):
    model, x, _ = linear(scale=0.0)
    with torch.no_grad():
        model[1].bias[1] = 1.0
    outcome = run(name, 100.0, model, x, torch.ones(12, dtype=torch.int64))
    assert robust(outcome).all()
    assert torch.equal(outcome.x_adv, x)


@pytest.mark.parametrize("name", sorted(set(FOOLBOX) - {"l0_fmn"}))
def test_robust_accuracy_is_foolboxs_own(name):
    """Its success at ε, counted by itself; it clips by `x + (x_adv − x)`, which may lose what lies on the boundary."""
    model, x, labels = linear()
    x, labels = x[1:], labels[1:]
    eps = float(1.3 * smallest(model, x, FOOLBOX[name].norm).median())
    torch.manual_seed(5)
    attack = FoolboxAttack(name, eps, QUICK[name]).make()
    _, _, success = attack(foolbox.PyTorchModel(model, (0, 1), device="cpu"), x, labels, epsilons=eps)
    ours = ~robust(run(name, eps, model, x, labels, seed=5))
    assert not (success & ~ours).any()
    assert (ours & ~success).sum() <= 1


@pytest.mark.parametrize("name", ["salt_and_pepper_noise", "linear_search_blended_uniform_noise"])
def test_outcome_is_a_function_of_the_seed_and_leaves_no_trace(name):
    model, x, labels = linear()
    outcomes = []
    for seed in (1, 1, 2):
        torch.rand(3), np.random.rand(2), random.random()
        states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
        outcomes.append(run(name, 5.0, model, x, labels, seed).x_adv)
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    assert torch.equal(outcomes[0], outcomes[1])
    assert not torch.equal(outcomes[0], outcomes[2])
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_options_reach_foolbox_and_attacks_travel_to_other_processes():
    model, x, labels = linear()
    few = FoolboxAttack("linear_search_blended_uniform_noise", 5.0, {"directions": 1, "steps": 1})
    many = FoolboxAttack("linear_search_blended_uniform_noise", 5.0, {"directions": 20, "steps": 20})
    left = [robust(attack_block(attack, model, x, labels, 0)).sum() for attack in (few, many)]
    assert left[0] > left[1]
    again = pickle.loads(pickle.dumps(many))
    assert (again, repr(again)) == (many, repr(many))
    assert repr(few) != repr(many)


def test_impossible_attacks_are_refused():
    for arguments in (("pixel", 1.0), ("ead", 0.0), ("ead", float("inf")), ("ead", 1.0, {"directions": 2})):
        with pytest.raises(InputError):
            FoolboxAttack(*arguments)
    model, x, labels = linear()
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        run("gaussian_blur", 1.0, model, x + 1, labels)
    with pytest.raises(RuntimeError, match="evaluation mode"):
        run("gaussian_blur", 1.0, model.train(), x, labels)


@pytest.mark.parametrize(
    ("perturb", "complaint"),
    [(lambda attack, x, found: 1 - x, "left its ball"), (lambda attack, x, found: x - 1, "pixels' range")],
)
def test_outcomes_that_break_the_budget_are_refused(monkeypatch, perturb, complaint):
    model, x, labels = linear()
    monkeypatch.setattr(FoolboxAttack, "_within", perturb)
    with pytest.raises(RuntimeError, match=complaint):
        run("gaussian_blur", 0.1 if "ball" in complaint else 100.0, model, x, labels)
