"""An evaluation checked as a whole, and what follows where a check fails: further attacks on those who still count as robust."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pag.attacks.harness import BlockAttack
from pag.attacks.threats import Threat
from pag.attacks.unmasking import Unmasking
from pag.base.errors import InputError
from pag.evaluation.accuracy import Robustness, evaluate
from pag.evaluation.blocks import Blocks
from pag.evaluation.outcomes import clean_checks, further_checks, outcome_checks
from pag.evaluation.probes import Probe, threat_checks
from pag.evaluation.sanity import Check, masked
from pag.machine.ranks import from_first

__all__ = ["Examined", "basic_checks", "checked", "further", "require_deterministic", "suspected"]


@dataclass(frozen=True)
class Examined:
    """The network under test with the examples that were attacked.

    Attributes:
        load: gives it, as attacks took it (`pag.evaluation.network`).
        x: images `(N, ch, H, W)`.
        labels: theirs, `(N,)`.
        blocks: as the attacks had them.
        confidence: of intervals.
    """

    load: Callable[[], nn.Module]
    x: Tensor
    labels: Tensor
    blocks: Blocks
    confidence: float

    def probe(self) -> Probe:
        """The network, to be probed on the first of the examples."""
        return Probe(self.load(), self.x, self.labels, self.blocks.size)


def require_deterministic(probe: Probe) -> None:
    """Raises InputError where two forward passes of a network differ: what its attacks found would not be so the next time."""
    check = probe.deterministic()
    if not check.passed:
        raise InputError(
            f"Two forward passes of the classifier differ by {check.value:.2g} of its largest output (check deterministic; at most "
            f"{check.bar:g} passes), and the attacks do not measure random networks."
        )


def basic_checks(
    examined: Examined,
    predicted: Tensor,
    labels: Tensor,
    threats: Mapping[str, Threat],
    autoattack: Mapping[str, Robustness],
    others: Mapping[str, Robustness],
) -> dict[str, Check]:
    """The checks that every evaluation runs; they take some hundredths of the time of the attacks.

    Args:
        examined: what was attacked.
        predicted, labels: of the whole test set, `(M,)`, whose first N images are those of `examined`.
        threats: by name.
        autoattack: the outcome of AutoAttack under each of them.
        others: outcomes of other attacks, by any names.
    """
    probe, correct = examined.probe(), (predicted == labels).numpy()
    checks = probe.network_checks() | clean_checks(predicted.numpy(), labels.numpy(), examined.confidence)
    checks |= outcome_checks(correct, autoattack, others)
    for name, threat in threats.items():
        withstood = torch.from_numpy(autoattack[name].withstood)
        checks |= threat_checks(probe, name, threat, withstood, examined.blocks.seed)
    return checks


def further(
    examined: Examined,
    threats: Mapping[str, Threat],
    outcomes: Mapping[str, Robustness],
    names: Sequence[str],
    attack: Callable[[Threat], BlockAttack] = Unmasking,
) -> tuple[dict[str, Robustness], dict[str, Check]]:
    """Attacks again those who withstood, under some threats; under several ranks each does its part.

    Args:
        examined: what was attacked.
        threats: by name.
        outcomes: of the attacks so far, by threat.
        names: the threats under which more is tried.
        attack: what is tried.

    Returns:
        The outcomes, with further parts where there are such, and the checks of what they found.
    """
    after, checks = dict(outcomes), dict[str, Check]()
    for name in names:
        rows = np.flatnonzero(outcomes[name].withstood)
        if len(rows) == 0:
            continue
        x, labels = examined.x[rows], examined.labels[rows]
        found = evaluate(
            examined.load, x, labels, {name: attack(threats[name])}, examined.blocks, confidence=examined.confidence,
            description=f"further attacks, {name}",
        )  # fmt: skip
        after[name] = outcomes[name].followed_by(found[name], rows)
        checks |= further_checks(name, outcomes[name], after[name])
    return after, checks


def suspected(checks: Mapping[str, Check], threats: Mapping[str, Threat]) -> list[str]:
    """The threats under which a failed check says that gradients may be masked."""
    return [name for name in threats if masked(checks, name)]


def checked(
    examined: Examined,
    predicted: Tensor,
    labels: Tensor,
    threats: Mapping[str, Threat],
    autoattack: Mapping[str, Robustness],
    others: Mapping[str, Robustness],
    *,
    full: bool,
) -> tuple[dict[str, Robustness], dict[str, Check]]:
    """All checks of an evaluation; where gradients may be masked, or all is asked for, further attacks follow.

    Args:
        examined, predicted, labels, threats, autoattack, others: as of `basic_checks`.
        full: whether every network is attacked further, and its outcomes in blocks of another size are compared.

    Returns:
        The outcomes of AutoAttack, after the further attacks, and the checks.
    """
    checks = from_first(lambda: basic_checks(examined, predicted, labels, threats, autoattack, others))
    if full:
        checks |= from_first(lambda: examined.probe().full_checks(threats))
    after, found = further(examined, threats, autoattack, list(threats) if full else suspected(checks, threats))
    return after, checks | found
