"""Checks that ask the network itself, by a few passes over the first of the attacked images: its outputs, its gradients, and what
fools it that is weaker than the attack, or that nothing could withstand. `pag.evaluation.sanity` names them.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pag.attacks.margins import margins
from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.randomness import torch_stream
from pag.evaluation.network import device_of
from pag.evaluation.sanity import Check, judged, of_share

__all__ = ["EXAMPLES", "Probe", "threat_checks"]

EXAMPLES = 256  # that are probed, so that a long evaluation does not pay for them again
NOISES = 5
UNBOUNDED = Threat("linf", 1.0)  # every image is within reach
UNBOUNDED_STEPS = 10
EPSILON = torch.finfo(torch.float32).eps


class Probe:
    """A network with the images that it is probed on.

    Args:
        model: `(B, ch, H, W)` in [0, 1] to logits `(B, C)`, in evaluation mode.
        x: images `(N, ch, H, W)`, of which the first `EXAMPLES` are used.
        labels: theirs, `(N,)` int64.
        batch: images that it is given at once.

    Raises:
        InputError: an output is not finite.
    """

    def __init__(self, model: nn.Module, x: Tensor, labels: Tensor, batch: int) -> None:
        device = device_of(model)
        self.model, self.batch = model, batch
        self.x, self.labels = x[:EXAMPLES].float().to(device), labels[:EXAMPLES].to(device)
        self.logits = self._forward(self.x)
        if not self.logits.isfinite().all():
            raise InputError("The classifier's outputs on test images are not all finite, so it cannot be evaluated.")

    def network_checks(self) -> dict[str, Check]:
        """The checks that no attack is needed for."""
        n, lost = len(self.x), self._gradient_is_lost()
        p = self.logits.double()
        sums_to_one = ((p >= 0).all(dim=1) & ((p.sum(dim=1) - 1).abs() <= 1e-4)).sum()
        return {
            "deterministic": self.deterministic(),
            "probabilities": judged("probabilities", int(sums_to_one) / n),
            "zero_gradient": of_share("zero_gradient", int(lost.sum()), n),
            "large_eps": of_share("large_eps", int(self._withstands_anything().sum()), n),
        }

    def deterministic(self) -> Check:
        """Whether a second forward pass gives the same outputs."""
        largest = float(self.logits.abs().max())
        difference = float((self._forward(self.x) - self.logits).abs().max())
        return judged("deterministic", difference / largest if largest > 0 else difference)

    def full_checks(self, threats: Mapping[str, Threat]) -> dict[str, Check]:
        """Whether an attack that draws nothing has the same outcome in blocks of another size, under each of `threats` by name."""
        return {f"other_blocks.{name}": self._other_blocks(threat) for name, threat in threats.items()}

    def _other_blocks(self, threat: Threat) -> Check:
        rows = torch.arange(len(self.x), device=self.x.device)
        step = 2.5 * threat.eps / UNBOUNDED_STEPS
        attack = PGD(threat, UNBOUNDED_STEPS, step, random_start=False, loss="margin")
        withstood = [self.right(self.attacked(attack, rows, size), rows) for size in (self.batch, self.batch // 2 + 1)]
        return of_share("other_blocks", int((withstood[0] != withstood[1]).sum()), len(rows))

    def right(self, x: Tensor, rows: Tensor) -> Tensor:
        """Whether images that take the place of those in `rows` have their labels; `(R,)` bool."""
        return self._forward(x).argmax(dim=1) == self.labels[rows]

    def attacked(self, attack: PGD, rows: Tensor, batch: int | None = None) -> Tensor:
        """The images of `rows` after an attack on `batch` of them at once, `(R, ch, H, W)`."""
        parts = rows.split(batch or self.batch)
        return torch.cat([attack(self.model, self.x[part], self.labels[part]) for part in parts])

    def _forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([self.model(part) for part in x.split(self.batch)])

    def _gradient_is_lost(self) -> Tensor:
        """Where the margin's gradient is so small that to cross the range of every pixel would not move it by its own rounding."""
        slopes = []
        for x, labels in zip(self.x.split(self.batch), self.labels.split(self.batch), strict=True):
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                loss = margins(self.model(x), labels).sum()
                slopes.append(torch.autograd.grad(loss, x)[0].flatten(1).double().abs().sum(dim=1))
        return torch.cat(slopes) <= EPSILON * self.logits.double().abs().amax(dim=1)

    def _withstands_anything(self) -> Tensor:
        """Who is still right after PGD in a ball that holds every image, and would not be at another test image or at mid-grey."""
        tried = torch.cat([self.logits, self._forward(torch.full_like(self.x[:1], 0.5))]).argmax(dim=1)
        fooled_by_some = (tried[None, :] != self.labels[:, None]).any(dim=1)
        rows = ((self.logits.argmax(dim=1) == self.labels) & fooled_by_some).nonzero().flatten()
        attack = PGD(UNBOUNDED, UNBOUNDED_STEPS, 2.5 / UNBOUNDED_STEPS, random_start=False, loss="margin")
        return self.right(self.attacked(attack, rows), rows) if len(rows) else rows.bool()


def threat_checks(probe: Probe, name: str, threat: Threat, withstood: Tensor, seed: int) -> dict[str, Check]:
    """What is weaker than an attack must not fool whom the attack did not: noise of its size, and a single step.

    Args:
        probe: the network and the images.
        name: of the threat.
        threat: the attack's ball.
        withstood: `(N,)` bool, over all the attacked images: right after the attack.
        seed: of the noise.
    """
    n = len(probe.x)
    rows = withstood[:n].to(probe.x.device).nonzero().flatten()
    weaker: dict[str, Callable[[Probe, Threat, Tensor, str, int], Tensor]] = {"noise": _noise, "one_step": _one_step}
    return {
        f"{kind}.{name}": of_share(kind, int(falls(probe, threat, rows, name, seed).sum()) if len(rows) else 0, n)
        for kind, falls in weaker.items()
    }


def _noise(probe: Probe, threat: Threat, rows: Tensor, name: str, seed: int) -> Tensor:
    """Whom one of several random perturbations of size ε fools; `(R,)` bool."""
    generator, falls = torch_stream(seed, f"noise {name}"), torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    for _ in range(NOISES):
        noise = threat.eps * threat.steepest(torch.randn(probe.x.shape, generator=generator))
        falls |= ~probe.right((probe.x + noise.to(probe.x.device)).clamp(0, 1)[rows], rows)
    return falls


def _one_step(probe: Probe, threat: Threat, rows: Tensor, name: str, seed: int) -> Tensor:
    """Whom one step of size ε along the margin's gradient fools (the fast gradient method); `(R,)` bool."""
    return ~probe.right(probe.attacked(PGD(threat, 1, threat.eps, random_start=False, loss="margin"), rows), rows)
