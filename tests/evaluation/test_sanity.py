"""Laws of the checks: each masked network raises its flag, an honest one none, and further attacks find what was hidden."""

from pathlib import Path

import numpy as np
import pytest
import torch
from masked import MASKED
from pydantic import ValidationError
from torch import nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.harness import Outcome
from pag.attacks.threats import Threat
from pag.attacks.unmasking import Unmasking
from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.evaluation.accuracy import Robustness, evaluate, predictions
from pag.evaluation.blocks import Blocks
from pag.evaluation.checking import Examined, basic_checks, further, require_deterministic, suspected
from pag.evaluation.intervals import proportion
from pag.evaluation.network import attackable, device_of
from pag.evaluation.outcomes import FURTHER_CHECKS, clean_checks, outcome_checks
from pag.evaluation.probes import Probe
from pag.evaluation.rereading import holds
from pag.evaluation.sanity import CHECKS, Check, failed, judged, masked, of_share, spoils

CLASSES, SIDE, N = 4, 6, 24
THREATS = {"linf": Threat("linf", 0.3)}
BLOCKS = Blocks(N, 5)


def templates():
    return torch.rand(CLASSES, 1, SIDE, SIDE, generator=torch_stream(0, "templates")).round()


def labels():
    return torch.arange(N) % CLASSES


def images():
    noise = 0.1 * torch.rand(N, 1, SIDE, SIDE, generator=torch_stream(0, "noise"))
    return 0.25 + 0.4 * templates()[labels()] + noise


class Linear(nn.Module):
    """Logits that are linear in the image, by the likeness to each class's template: nothing is hidden, and nothing withstands."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(3 * (templates() - 0.5).flatten(1))

    def forward(self, x):
        return (x - 0.5).flatten(1) @ self.weight.T


def honest():
    return Linear().eval()


def made(name):
    return MASKED[name](honest()).eval()


def examined(load):
    return Examined(attackable(load, images()), images(), labels(), BLOCKS, 0.95)


def outcomes(load):
    attacks = {name: AutoAttack(threat, ("apgd-ce",)) for name, threat in THREATS.items()}
    return evaluate(attackable(load, images()), images(), labels(), attacks, BLOCKS)


def checked(load):
    return basic_checks(examined(load), predictions(load(), images()), labels(), THREATS, outcomes(load), {})


def robustness(*parts, eps=0.3, clean=None, **options):
    flags = [np.array(part, dtype=bool) for part in parts]
    names = ("apgd-ce", "square")[: len(parts)]
    return Robustness(
        "linf", eps, flags[0] if clean is None else clean, dict(zip(names, flags, strict=True)), **options
    )


def test_an_honest_network_raises_no_flag():
    checks = checked(honest)
    assert failed(checks) == []
    assert suspected(checks, THREATS) == []
    basic = {name for name, kind in CHECKS.items() if not kind.full}
    assert basic - {name.partition(".")[0] for name in checks} == {"growing_eps", "black_box"}  # one ε, and no Square
    assert outcomes(honest)["linf"].accuracy.value == 0


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("saturated", {"probabilities", "zero_gradient", "large_eps"}),
        ("one_hot", {"probabilities", "zero_gradient", "large_eps"}),
        ("detached", {"zero_gradient", "large_eps"}),
        ("quantised", {"zero_gradient", "large_eps"}),
        ("staircase", {"zero_gradient", "large_eps"}),
        ("reversed", {"large_eps"}),
        ("constant", {"above_chance", "predicted_classes"}),
    ],
)
def test_each_masked_network_raises_its_flags(name, flags):
    checks = checked(lambda: made(name))
    assert flags <= set(failed(checks))
    assert name == "constant" or suspected(checks, THREATS) == ["linf"]


def test_a_random_network_is_refused_before_it_is_attacked():
    random = Probe(made("random"), images(), labels(), N)
    assert not random.deterministic().passed
    with pytest.raises(InputError, match="Two forward passes of the classifier differ"):
        require_deterministic(random)
    require_deterministic(Probe(honest(), images(), labels(), N))


def test_outputs_that_are_not_finite_are_refused():
    network = honest()
    nn.init.constant_(network.weight, float("nan"))
    with pytest.raises(InputError, match="not all finite"):
        Probe(network, images(), labels(), N)


def test_checks_do_not_depend_on_the_batch():
    network = made("saturated")
    assert (
        Probe(network, images(), labels(), N).network_checks() == Probe(network, images(), labels(), 5).network_checks()
    )


@pytest.mark.parametrize("name", ["saturated", "detached", "reversed"])
def test_further_attacks_find_what_was_hidden(name):
    before = outcomes(lambda: made(name))
    assert before["linf"].accuracy.value > 0.5
    attack = {"steps": 3, "restarts": 1, "rounds": 2, "queries": 20}
    after, checks = further(
        examined(lambda: made(name)), THREATS, before, ["linf"], lambda threat: Unmasking(threat, **attack)
    )
    assert list(after["linf"].robust) == ["apgd-ce", *FURTHER_CHECKS]
    assert after["linf"].accuracy.value <= 0.1
    assert not checks["transfer.linf"].passed
    assert after["linf"].holds.all()
    values = [flags.mean() for flags in after["linf"].robust.values()]
    assert values == sorted(values, reverse=True)


def test_further_attacks_leave_alone_who_fell():
    before = {"linf": robustness([0] * N)}
    after, checks = further(examined(honest), THREATS, before, ["linf"])
    assert (after, checks) == (before, {})


def test_no_gradient_is_a_gradient_of_zero():
    load = attackable(lambda: made("one_hot"), images())
    x = images().requires_grad_()
    assert torch.equal(load()(x), made("one_hot")(x))
    assert not torch.autograd.grad(load()(x).sum(), x)[0].any()
    assert attackable(honest, images()) is honest
    assert device_of(nn.Flatten()) == torch.device("cpu")


def test_a_dead_network_is_told_by_its_predictions():
    of_three = np.full(40, 3), np.arange(40) % 10
    assert failed(clean_checks(*of_three, 0.95)) == ["above_chance", "predicted_classes"]
    assert failed(clean_checks(np.arange(40) % 10, np.arange(40) % 10, 0.95)) == []


def test_flags_of_outcomes():
    correct, few = np.array([1] * 8 + [0] * 2, dtype=bool), [1] * 3 + [0] * 7
    sound = robustness([1] * 6 + [0] * 4, few, clean=correct, holds=np.ones(10, dtype=bool))
    assert failed(outcome_checks(correct, {"linf": sound}, {})) == ["black_box.linf"]
    by_gradients = robustness(few, few, clean=correct)
    assert failed(outcome_checks(correct, {"linf": by_gradients}, {})) == []
    beyond = robustness([1] * 10, clean=np.ones(10, dtype=bool))
    assert failed(outcome_checks(correct, {"linf": beyond}, {})) == ["unperturbed", "within_clean"]
    damaged = robustness(few, clean=correct, holds=np.arange(10) != 5)
    assert failed(outcome_checks(correct, {"linf": damaged}, {})) == ["adversarial_examples"]
    larger = robustness([1] * 5 + [0] * 5, clean=correct, eps=0.4)
    assert failed(outcome_checks(correct, {"small": by_gradients, "large": larger}, {})) == ["growing_eps.large"]


def test_adversarial_examples_are_read_again():
    threat, x, network = THREATS["linf"], images(), honest()
    fooling = (x + threat.eps * threat.steepest(-(templates()[labels()] - 0.5))).clamp(0, 1)
    clean, fell = torch.ones(N, dtype=torch.bool), {"apgd-ce": torch.zeros(N, dtype=torch.bool)}

    def held(x_adv, withstood=fell):
        return holds(threat, network, x, labels(), Outcome(clean, withstood, x_adv))

    assert held(fooling).all()
    assert not held(x).any()  # still right
    assert not held(x + 1.01 * (fooling - x)).all()  # outside the ball
    assert held(x, {"apgd-ce": clean}).all()  # nothing was found


def test_a_single_example_is_no_failure():
    assert of_share("noise.linf", 1, 10).passed
    assert not of_share("noise.linf", 2, 10).passed
    assert not of_share("noise.linf", 3, 1000).passed


def test_which_numbers_a_failed_check_spoils():
    assert spoils("noise.l2", "autoattack.l2")
    assert spoils("noise.l2", "pgd.l2")
    assert not spoils("noise.l2", "autoattack.l2_large")
    assert not spoils("noise.l2", "clean")
    assert spoils("zero_gradient", "foolbox.ead")
    assert not spoils("zero_gradient", "clean")
    assert spoils("predicted_classes", "clean")
    assert not any(spoils(name, "alignment") for name in CHECKS)
    assert masked({"noise.l2": judged("noise.l2", 1.0)}, "l2")
    assert not masked({"noise.l2": judged("noise.l2", 1.0)}, "linf")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_check(value):
    with pytest.raises(ValidationError):
        Check(value=value, bar=0.0, passed=False)


def test_more_steps_may_change_less_than_the_interval():
    before = {"linf": robustness([1] * N)}
    after, checks = further(examined(honest), THREATS, before, ["linf"], lambda threat: Unmasking(threat, 2, 1, 1, 5))
    interval = proportion(np.ones(N, dtype=bool)).interval
    assert checks["more_steps.linf"].bar == 1 - interval[0]
    assert not checks["more_steps.linf"].passed
    assert after["linf"].accuracy.value == 0


def test_the_page_on_checks_has_each():
    page = (Path(__file__).parents[2] / "docs" / "sanity.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page or f"| `{name}.*` |" in page for name in CHECKS)


def test_constant_logits_are_withstood_by_further_attacks():
    """No attack alters a tie, which goes to the first class."""

    class Tie(nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :CLASSES]

    first = torch.zeros(N, dtype=torch.int64)
    subject = Examined(lambda: Tie().eval(), images(), first, BLOCKS, 0.95)
    before = {"linf": robustness([1] * N)}
    after, checks = further(subject, THREATS, before, ["linf"], lambda threat: Unmasking(threat, 2, 1, 1, 5))
    assert after["linf"].accuracy.value == 1
    assert failed(checks) == []
