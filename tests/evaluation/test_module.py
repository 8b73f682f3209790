"""Laws of the evaluation of a module in memory: it is the stage's, leaves the module alone, and says what it cannot evaluate."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import rank_evaluation
import torch
from masked import MASKED
from torch import nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.pgd import PGD
from pag.attacks.restarted_pgd import RestartedPGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.evaluation.accuracy import evaluate as attacked
from pag.evaluation.accuracy import predictions
from pag.evaluation.blocks import Blocks
from pag.evaluation.curve import RobustnessCurve, robustness_curve
from pag.evaluation.intervals import wilson_interval
from pag.evaluation.module import evaluate

CLASSES, SIDE, N = 4, 6, 24
THREATS = {"near": Threat("linf", 0.05), "far": Threat("linf", 0.15)}
FIRST = partial(AutoAttack, attacks=("apgd-ce",))


def images():
    return torch.rand(N, 1, SIDE, SIDE, generator=torch_stream(0, "images"))


def honest(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(8 * SIDE * SIDE, CLASSES)]
        model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        model[-1].bias -= model(images()).mean(dim=0)
    return model


def labels():
    right = predictions(honest(), images())
    right[:3] = (right[:3] + 1) % CLASSES
    return right


def load():
    return honest()


def test_it_measures_what_the_attacks_measure_block_by_block():
    evaluation = evaluate(honest(), images(), labels(), THREATS, attack=FIRST, block_size=10, seed=3, examples=20)
    attacks = {name: FIRST(threat) for name, threat in THREATS.items()}
    expected = attacked(load, images()[:20], labels()[:20], attacks, Blocks(10, 3))
    for name, outcome in expected.items():
        assert np.array_equal(evaluation.outcomes[name].withstood, outcome.withstood)
    assert evaluation.clean.value == (N - 3) / N
    assert evaluation.clean.interval == wilson_interval(N - 3, N)
    assert evaluation.robust["far"].n == 20
    assert evaluation.robust["far"].value < evaluation.robust["near"].value < evaluation.clean.value
    assert {"deterministic", "zero_gradient", "noise.near", "growing_eps.far"} <= set(evaluation.sanity)
    assert evaluation.doubts() == evaluation.doubts("near") == evaluation.doubts("far") == []
    clean, near, _ = str(evaluation).splitlines()
    assert clean.startswith("clean: 87.5 % [69.0, 95.7], n = 24")
    assert near.startswith("near: ")
    assert near.endswith("n = 20, ε = 0.05")


def test_processes_change_nothing_and_the_module_is_left_as_it_was():
    model = honest()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    options = {"attack": FIRST, "block_size": 12}
    one, two = (evaluate(model, images(), labels(), THREATS, workers=n, **options) for n in (1, 2))
    assert all(np.array_equal(one.outcomes[name].withstood, two.outcomes[name].withstood) for name in THREATS)
    assert one.sanity == two.sanity
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    assert all(p.grad is None for p in model.parameters())


def test_two_ranks_share_the_work_and_both_have_all_of_it():
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run([*torchrun, rank_evaluation.__file__], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == 2 * [rank_evaluation.measured()]


def test_a_module_that_hides_its_gradient_is_attacked_further_and_doubted(monkeypatch):
    monkeypatch.setattr("pag.evaluation.checking.further", lambda *given: ({"far": given[2]["far"]}, {}))
    model = MASKED["detached"](honest()).eval()
    evaluation = evaluate(model, images(), labels(), {"far": THREATS["far"]}, attack=FIRST)
    assert "zero_gradient" in evaluation.doubts("far")
    assert evaluation.doubts() == []
    assert "not to be believed, by the checks zero_gradient" in str(evaluation)


class Noisy(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :CLASSES] + torch.rand(len(x), CLASSES)


def test_what_cannot_be_evaluated_is_told():
    x, y = images(), labels()
    for model, given, told in (
        (honest().train(), (x, y), r"training mode; call model\.eval\(\)"),
        (honest(), (2 * x, y), r"images \(N, ch, H, W\) in \[0, 1\]"),
        (honest(), (x / 0, y), r"in \[0, 1\]"),
        (honest(), (x[:, 0], y), r"these are \(24, 6, 6\)"),
        (honest(), (x, y[1:]), r"24 images need as many labels, int64; these are \(23,\)"),
        (honest(), (x, y.float()), r"int64; these are \(24,\), torch\.float32"),
        (honest(), (x, y + 1), r"outputs \(1, 4\) for an image, and labels go to 4"),
        (nn.Identity().eval(), (x, y), r"outputs \(1, 1, 6, 6\)"),
        (Noisy().eval(), (x, y), "Two forward passes of the classifier differ"),
    ):
        for measured in (
            lambda *arguments: evaluate(*arguments, THREATS, attack=FIRST),
            lambda *arguments: robustness_curve(*arguments, "linf", [0.1], attack=FIRST),
        ):
            with pytest.raises(InputError, match=told):
                measured(model, *given)
    for options in ({"threats": {}}, {"threats": THREATS, "examples": 0}):
        with pytest.raises(InputError, match="at least one threat and one example"):
            evaluate(honest(), x, y, attack=FIRST, **options)


def failing(threat):
    """An attack that moves nothing where ε is large."""
    step = 0.5 * threat.eps if threat.eps < 0.1 else 1e-9
    return RestartedPGD(PGD(threat, 3, step, random_start=False), 1)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_curve_never_grows_though_its_attack_fails(norm):
    epsilons = [0.01 * 1.7**n for n in range(8)]
    curve = robustness_curve(honest(), images(), labels(), norm, epsilons, attack=failing, block_size=7)
    assert curve.epsilons == (0.0, *epsilons)
    assert curve.withstood.shape == (9, N)
    assert np.array_equal(curve.withstood[0], (predictions(honest(), images()) == labels()).numpy())
    assert not (curve.withstood[1:] & ~curve.withstood[:-1]).any()
    values = [accuracy.value for accuracy in curve.accuracies]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]
    assert all(low <= value <= high for value, low, high in (accuracy.triple for accuracy in curve.accuracies))


def test_the_first_point_of_a_curve_is_the_attacks_on_those_who_are_right():
    curve = robustness_curve(honest(), images(), labels(), "linf", [0.05, 0.15], attack=FIRST, seed=3)
    right = curve.withstood[0]
    expected = attacked(load, images()[right], labels()[right], {"near": FIRST(THREATS["near"])}, Blocks(100, 3))
    assert np.array_equal(curve.withstood[1][right], expected["near"].withstood)
    none = robustness_curve(honest(), images(), (labels() + 1) % CLASSES, "linf", [1.0, 2.0], attack=FIRST)
    assert isinstance(none, RobustnessCurve)
    assert none.accuracies[-1].value == 0


@pytest.mark.parametrize("epsilons", [[], [0.1, 0.1], [0.2, 0.1], [0.0, 0.1], [-1.0], [float("nan")]])
def test_epsilons_of_a_curve_ascend_from_above_zero(epsilons):
    with pytest.raises(InputError, match="positive epsilons that ascend"):
        robustness_curve(honest(), images(), labels(), "linf", epsilons, attack=FIRST)
