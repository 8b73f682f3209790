"""Seven attacks of Foolbox (Rauber et al., 2020) on one block of examples: appendix D, table 6.

Each looks for the smallest perturbation that fools the model, in a distance of its own: noise, blur and loss of contrast along
fixed directions, measured in L2; L0-FMN and L1-FMN (Pintor et al., 2021) and EAD (Chen et al., 2018) by gradients. An example is
lost if that perturbation is within ε, or if it still fools the model after it has been shortened to ε, which is how Foolbox
itself counts; a number of changed entries (L0) cannot be shortened.

The attacks draw for a whole batch and from the global generators: the outcome is a function of (model, block, attack, seed).
"""

import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import eagerpy
import numpy as np
import torch
from torch import Tensor, nn

from pag.attacks.foolbox_options import FOOLBOX, FoolboxName, FoolboxNorm
from pag.attacks.harness import Perturb
from pag.base.errors import InputError

with warnings.catch_warnings():
    # Its blur imports gaussian_filter from SciPy's old namespace; requirements.in keeps SciPy below 2, which drops that.
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
    import foolbox
    from foolbox import attacks as _attacks
    from foolbox import distances as _distances

__all__ = ["FoolboxAttack", "FoolboxBall"]


class _L0FMN(_attacks.L0FMNAttack):
    """Foolbox's indexes past the last entry once its own ε is the number of entries; from there on nothing is cut."""

    def project(self, x: eagerpy.Tensor, x0: eagerpy.Tensor, epsilon: eagerpy.Tensor) -> eagerpy.Tensor:
        entries = int(np.prod(x.shape[1:]))
        return super().project(x, x0, epsilon.minimum(entries - 1))


class _L1FMN(_attacks.L1FMNAttack):
    """Foolbox's projects by a cumulative sum, which has no deterministic form on a GPU; the CPU's has one."""

    def project(self, x: eagerpy.Tensor, x0: eagerpy.Tensor, epsilon: eagerpy.Tensor) -> eagerpy.Tensor:
        on_cpu = (eagerpy.astensor(tensor.raw.cpu()) for tensor in (x, x0, epsilon))
        projected: eagerpy.Tensor = eagerpy.astensor(super().project(*on_cpu).raw.to(x.raw.device))
        return projected


_DISTANCES: Mapping[FoolboxNorm, _distances.Distance] = {
    "l0": _distances.l0,
    "l1": _distances.l1,
    "l2": _distances.l2,
}
_ATTACKS: Mapping[FoolboxName, type[_attacks.Attack]] = {
    "salt_and_pepper_noise": _attacks.SaltAndPepperNoiseAttack,
    "binary_search_contrast_reduction": _attacks.BinarySearchContrastReductionAttack,
    "gaussian_blur": _attacks.GaussianBlurAttack,
    "linear_search_blended_uniform_noise": _attacks.LinearSearchBlendedUniformNoiseAttack,
    "l0_fmn": _L0FMN,
    "l1_fmn": _L1FMN,
    "ead": _attacks.EADAttack,
}


@dataclass(frozen=True)
class FoolboxBall:
    """Perturbations of at most ε, as Foolbox measures them: in L0 the changed entries, each channel its own."""

    norm: FoolboxNorm
    eps: float

    def size(self, delta: Tensor) -> Tensor:
        """The norm of each perturbation of `delta`, `(B, ch, H, W)`; shape `(B,)`."""
        sizes: Tensor = _DISTANCES[self.norm](torch.zeros_like(delta), delta)
        return sizes


@dataclass(frozen=True)
class FoolboxAttack:
    """One of the attacks with its budget.

    Attributes:
        name: a key of `FOOLBOX`.
        eps: the largest perturbation that counts, in the attack's own norm.
        options: by Foolbox's names; what is not given is as Foolbox has it.

    Raises:
        InputError: the attack is unknown, has no such option, or ε is not positive.
    """

    name: FoolboxName
    eps: float
    options: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in FOOLBOX:
            raise InputError(f"Unknown attack {self.name!r} of Foolbox; known are {', '.join(FOOLBOX)}.")
        known = FOOLBOX[self.name].options
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise InputError(f"Foolbox's {self.name} has no option {unknown[0]!r} (it has {', '.join(sorted(known))}).")
        if not 0 < self.eps < float("inf"):
            raise InputError(f"The largest perturbation of {self.name} must be positive and finite, not {self.eps}.")

    @property
    def title(self) -> str:
        return f"Foolbox's {self.name}"

    @property
    def stream(self) -> str:
        """The attack, whatever its budget."""
        return f"Foolbox {self.name}"

    @property
    def threat(self) -> FoolboxBall:
        return FoolboxBall(FOOLBOX[self.name].norm, self.eps)

    def make(self) -> Any:  # noqa: ANN401
        """Foolbox's attack; those that could measure in any norm are given theirs."""
        attack = _ATTACKS[self.name]
        flexible = issubclass(attack, _attacks.base.FlexibleDistanceMinimizationAttack)
        return attack(**self.options, **({"distance": _DISTANCES[self.threat.norm]} if flexible else {}))

    def parts(self, model: nn.Module, x: Tensor, num_classes: int, seed: int) -> Mapping[str, Perturb]:
        """The attack alone; the seed is of Python's, NumPy's and torch's generators."""

        def perturb(images: Tensor, labels: Tensor) -> Tensor:
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            return self._within(images, self._smallest(model, images, labels))

        return {self.name: perturb}

    def _smallest(self, model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        """The nearest adversarial examples that the attack finds, of any size, in [0, 1]."""
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
        with warnings.catch_warnings():
            # Where the blended noise draws no suitable input, the outcome shows it: the example stays robust.
            warnings.filterwarnings("ignore", ".* failed to draw sufficient random inputs", UserWarning)
            found: Tensor = self.make()(wrapped, x, labels, epsilons=None)[0]
        return found.clamp(0, 1)  # a blend of two images may round to a little more than 1

    def _within(self, x: Tensor, found: Tensor) -> Tensor:
        """What was found where it is within ε; elsewhere shortened to ε, or in L0 given up."""
        sizes = self.threat.size(found - x)
        outside = (sizes > self.eps).reshape(-1, 1, 1, 1)
        if self.threat.norm == "l0":
            return torch.where(outside, x, found)
        shortened = x + (self.eps / sizes.clamp_min(self.eps)).reshape(-1, 1, 1, 1) * (found - x)
        return torch.where(outside, shortened.clamp(0, 1), found)
