"""AutoAttack on one block: the same outcome as the package's own call, and refusal of what cannot be trusted."""

import logging
from types import SimpleNamespace

import pyautoattack
import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack_targeted
from pyautoattack.square import SquareAttack
from torch import nn

from pag.attacks import autoattack
from pag.attacks.autoattack import AutoAttack
from pag.attacks.autoattack_parts import STANDARD
from pag.attacks.harness import attack_block
from pag.attacks.threats import Threat
from pag.base.errors import InputError

SOME = ("apgd-ce",)
NORMS = {"l2": "L2", "linf": "Linf"}


def network(classes=5):
    """Untrained, with logits centred so that every class is predicted; and 12 images with its predictions, one of them wrong."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = [nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, stride=2), nn.SiLU(), nn.Flatten()]
        model = nn.Sequential(*body, nn.Linear(32, classes)).eval()
        x = torch.rand(12, 1, 6, 6)
    with torch.no_grad():
        model[-1].bias -= model(x).mean(dim=0)
        labels = model(x).argmax(dim=1)
    labels[0] = (labels[0] + 1) % classes
    return model, x, labels


def run_block(model, x, labels, threat, seed, attacks=STANDARD):
    return attack_block(AutoAttack(threat, attacks), model, x, labels, seed)


@pytest.fixture(autouse=True)
def short_square(monkeypatch):
    """Square with 100 queries instead of 5000, for the package's own call as well."""

    class Short(SquareAttack):
        n_queries = property(lambda self: 100, lambda self, value: None)

    monkeypatch.setattr(pyautoattack.autoattack, "SquareAttack", Short)


def plain_call(model, x, labels, threat, seed, targets):
    suite = pyautoattack.AutoAttack(model, norm=NORMS[threat.norm], eps=threat.eps, seed=seed, version="standard")
    suite.apgd_targeted.n_target_classes = suite.fab.n_target_classes = targets
    return suite.run_standard_evaluation(x, labels)


def assert_same_as_plain_call(threat, seed, rows=slice(None)):
    model, x, labels = network()
    x, labels = x[rows], labels[rows]
    outcome = run_block(model, x, labels, threat, seed)
    x_adv, predicted = plain_call(model, x, labels, threat, seed, targets=4)
    assert torch.equal(outcome.robust["square"], predicted == labels)
    assert torch.equal(outcome.x_adv, x_adv)
    return outcome


def test_standard_version_attack_by_attack_is_the_plain_call_and_so_it_is_on_a_single_survivor():
    threat = Threat("linf", 0.05)
    outcome = assert_same_as_plain_call(threat, seed=3)
    left = [int(flags.sum()) for flags in outcome.robust.values()]
    assert tuple(outcome.robust) == STANDARD
    assert 11 == outcome.clean.sum() > left[0] > left[1] >= left[2] >= left[3] > 0  # the attacks do differ here
    survivors = outcome.robust["square"].nonzero().flatten()
    assert assert_same_as_plain_call(threat, seed=3, rows=survivors[:1]).robust["square"].all()


@pytest.mark.parametrize(("norm", "eps"), [("l2", 0.1), ("l2", 0.5), ("linf", 0.1)])
def test_plain_call_agrees_for_other_threats(norm, eps):
    assert_same_as_plain_call(Threat(norm, eps), seed=4)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (2, ("apgd-ce", "apgd-margin", "fab-t", "square")),
        (3, ("apgd-ce", "apgd-dlr", "fab-t", "square")),
        (4, STANDARD),
        (10, STANDARD),
        (200, STANDARD),
    ],
)
@pytest.mark.parametrize("norm", NORMS)
def test_any_number_of_classes_is_attacked_and_a_substitute_has_a_name_of_its_own(classes, names, norm):
    model, x, labels = network(classes)
    threat = Threat(norm, {"l2": 0.1, "linf": 0.02}[norm])
    outcome = run_block(model, x[:3], labels[:3], threat, seed=0)
    assert tuple(outcome.robust) == names


def test_iterations_and_targets_are_those_of_the_packages_own_attack():
    model, x, labels = network()
    options = {"norm": "Linf", "eps": 0.05, "seed": 3, "device": x.device, "logger": logging.getLogger("auto-attack")}
    for iterations, targets in ((1, 1), (7, 3)):
        attack = AutoAttack(Threat("linf", 0.05), ("apgd-t",), iterations, targets)
        perturb = attack.parts(model, x, 5, seed=3)["apgd-t"]
        own = APGDAttack_targeted(model, n_iter=iterations, n_target_classes=targets, **options)
        with torch.no_grad():
            assert torch.equal(perturb(x, labels), own.perturb(x, labels))
    with pytest.raises(InputError, match="at least one iteration and target, not 0 and 3"):
        AutoAttack(Threat("linf", 0.05), iterations=0, targets=3)


@pytest.mark.parametrize("classes", [2, 3])
def test_each_attack_alone_fools_a_network_of_few_classes(classes):
    model, x, labels = network(classes)
    own = {2: "apgd-margin", 3: "apgd-dlr"}[classes]
    for asked, run in (("apgd-ce",) * 2, ("apgd-t", own), (own, own), ("fab-t",) * 2, ("square",) * 2):
        outcome = run_block(model, x, labels, Threat("linf", 0.3), seed=0, attacks=(asked,))
        assert list(outcome.robust) == [run]
        assert not outcome.robust[run].any()


def test_untargeted_dlr_is_the_packages_own():
    model, x, labels = network(3)
    threat = Threat("linf", 0.05)
    outcome = run_block(model, x, labels, threat, seed=3, attacks=("apgd-dlr",))
    suite = pyautoattack.AutoAttack(model, norm="Linf", eps=threat.eps, seed=3, version="custom", attacks=["apgd-dlr"])
    suite.apgd.n_restarts = 1  # of the standard version
    x_adv, predicted = suite.run_standard_evaluation(x, labels)
    assert torch.equal(outcome.robust["apgd-dlr"], predicted == labels)
    assert torch.equal(outcome.x_adv, x_adv)
    assert outcome.robust["apgd-dlr"].any()


def test_the_margin_finds_the_exact_radius_of_a_linear_network_of_two_classes():
    weight = torch.tensor([[1.0, -2.0, 0.5, 0.0] * 9, [0.0] * 36])
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2, bias=False)).eval()
    model[1].weight.data = weight
    x = torch.full((1, 1, 6, 6), 0.5)
    labels = torch.tensor([1])
    radius = float(
        (weight[1] - weight[0]) @ x.flatten() / (weight[1] - weight[0]).abs().sum()
    )  # to the boundary, in Linf
    for factor, withstood in ((0.99, True), (1.01, False)):
        outcome = run_block(model, x, labels, Threat("linf", factor * radius), seed=0, attacks=("apgd-margin",))
        assert bool(outcome.robust["apgd-margin"]) == withstood


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("norm", NORMS)
def test_constant_logits_are_attacked_and_stay_what_they_are(norm, label):
    model, x, _ = network(3)
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)  # ties of all classes: class 0 is predicted
    outcome = run_block(model, x, torch.full((12,), label), Threat(norm, 0.1), seed=0)
    assert all((robust == (label == 0)).all() for robust in outcome.robust.values())


def test_a_single_class_is_refused():
    model, x, labels = network(1)
    with pytest.raises(InputError, match="at least 2 classes"):
        run_block(model, x, torch.zeros_like(labels), Threat("l2", 0.1), 0, SOME)


def test_outcome_is_a_function_of_the_seed_alone_and_leaves_no_trace(caplog, capfd):
    model, x, labels = network()
    nn.init.zeros_(model[0].weight)  # a zero gradient: the package would warn
    state, level = torch.get_rng_state(), logging.getLogger("auto-attack").level
    outcomes = []
    for drawn in range(2):
        outcomes.append(run_block(model, x, labels, Threat("linf", 0.05), 1, attacks=("apgd-ce", "apgd-t", "fab-t")))
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(drawn + 1)
        state = torch.get_rng_state()
    assert torch.equal(outcomes[0].x_adv, outcomes[1].x_adv)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert logging.getLogger("auto-attack").level == level
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_a_model_in_training_mode_is_refused():
    model, x, labels = network()
    model[1].train()
    with pytest.raises(RuntimeError, match="evaluation mode"):
        run_block(model, x, labels, Threat("l2", 0.1), 0, SOME)


def test_a_random_model_is_refused():
    class Noisy(nn.Module):
        def forward(self, x):
            return x.flatten(1) + 0.1 * torch.randn(x[0].numel())

    with pytest.raises(RuntimeError, match="differ"):
        run_block(Noisy().eval(), *network()[1:], Threat("l2", 0.1), 0, SOME)


def test_the_first_example_without_finite_logits_is_named(monkeypatch):
    class Breaking(nn.Module):
        """NaN for an image whose first pixel is above one half."""

        def forward(self, x):
            return x.flatten(1)[:, :3] + torch.where(x[:, 0, 0, :1] > 0.5, torch.nan, 0.0)

    x = 0.4 * network()[1]
    labels = x.flatten(1)[:, :3].argmax(1)
    brightened = SimpleNamespace(perturb=lambda x, y: x + 0.3 * (torch.arange(len(x)) == 4).reshape(-1, 1, 1, 1))
    monkeypatch.setitem(autoattack._ATTACKS, "apgd-ce", lambda suite: brightened)
    with pytest.raises(FloatingPointError, match="of test example 24 under apgd-ce are not finite"):
        attack_block(AutoAttack(Threat("linf", 0.3), SOME), Breaking().eval(), x, labels, 0, first=20)
    x[7:, 0, 0, 0] = 0.6
    with pytest.raises(FloatingPointError, match="of test example 27 are not finite"):
        attack_block(AutoAttack(Threat("linf", 0.3), SOME), Breaking().eval(), x, labels, 0, first=20)


def test_pixels_outside_the_range_unknown_attacks_and_tiny_images_are_refused():
    model, x, labels = network()
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        run_block(model, 2 * x, labels, Threat("l2", 0.1), 0, SOME)
    with pytest.raises(InputError, match="apgd-d"):
        run_block(model, x, labels, Threat("l2", 0.1), 0, ("apgd-d",))
    with pytest.raises(InputError, match="none given"):
        run_block(model, x, labels, Threat("l2", 0.1), 0, ())
    small = nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).eval()
    with pytest.raises(InputError, match="5 by 5"):
        run_block(small, x[:, :, :4, :4], labels, Threat("l2", 0.1), 0)


@pytest.mark.parametrize(
    ("perturb", "complaint"),
    [
        (lambda x, y: 1 - x, "left its ball"),
        (lambda x, y: torch.full_like(x, torch.nan), "left its ball"),
        (lambda x, y: x + 0.99 * torch.where(x > 0.5, 1, -1), "pixels' range"),
    ],
)
def test_outcomes_that_break_the_threat_are_refused(monkeypatch, perturb, complaint):
    monkeypatch.setitem(autoattack._ATTACKS, "apgd-ce", lambda suite: SimpleNamespace(perturb=perturb))
    model, x, labels = network()
    eps = 0.1 if "ball" in complaint else 1.0
    with pytest.raises(RuntimeError, match=complaint):
        run_block(model, x, labels, Threat("linf", eps), 0, SOME)


def test_flags_that_the_model_contradicts_are_refused(monkeypatch):
    class Turncoat(nn.Module):
        """Changes its mind at its fourth call: the re-evaluation."""

        calls = 0

        def forward(self, x):
            self.calls += 1
            return x.flatten(1)[:, :5] if self.calls < 4 else -x.flatten(1)[:, :5]

    monkeypatch.setitem(autoattack._ATTACKS, "apgd-ce", lambda suite: SimpleNamespace(perturb=lambda x, y: x))
    x = network()[1]
    with pytest.raises(RuntimeError, match="contradict"):
        run_block(Turncoat().eval(), x, x.flatten(1)[:, :5].argmax(1), Threat("linf", 0.1), 0, SOME)
