"""What is told of a training run that has come to a number that is none: where, how large everything was, and what to alter."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pag.optimization.optimizers import Optimization

__all__ = ["diverged", "not_finite"]

LISTED = 8  # rows


def diverged(
    description: str,
    step: int,
    parts: Mapping[str, float],
    model: nn.Module,
    optimization: Optimization,
    rows: Tensor | None = None,
) -> FloatingPointError:
    """The error of a run whose loss, or a part of it, is not finite.

    Args:
        description: of the run.
        step: at which it is so, from 0.
        parts: `loss` and what is logged beside it.
        model: with its weights, and the gradient of the last update.
        optimization: whose learning rate and weight decay may be the cause.
        rows: of the training set, in the batch of that step; None where they are not known.
    """
    weights = _norm(list(model.parameters()))
    gradient = _norm([p.grad for p in model.parameters() if p.grad is not None])
    told = ", ".join(f"{name} {value:g}" for name, value in parts.items() if name != "loss")
    return FloatingPointError(
        f"{description}: the loss is {parts['loss']:g}{f' ({told})' if told else ''} in step {step + 1} of {optimization.steps}"
        f"{_listed(rows)}; the weights have norm {weights:g} and the gradient before it {gradient:g}: "
        f"{_remedy(parts, weights, optimization)}."
    )


def not_finite(description: str, name: str, step: int, optimization: Optimization) -> FloatingPointError:
    """The error of a run that has a weight or a running statistic, `name`, that is not finite after `step` steps."""
    remedy = _of_weight_decay(optimization) or f"lower the learning rate, {_learning_rate(optimization):g}"
    done = f"{step} of {optimization.steps} steps"
    return FloatingPointError(f"{description}: {name} of the network is not finite after {done}; {remedy}.")


@torch.no_grad()
def _norm(tensors: list[Tensor]) -> float:
    """The norm of all of them as one vector; 0 of none."""
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))


def _listed(rows: Tensor | None) -> str:
    if rows is None:
        return ""
    few = ", ".join(map(str, rows[:LISTED].tolist()))
    return f", whose batch has the training rows {few}{f' and {len(rows) - LISTED} more' if len(rows) > LISTED else ''}"


def _remedy(parts: Mapping[str, float], weights: float, optimization: Optimization) -> str:
    """What to alter first. A cause is likely, not certain: each makes the loss grow without bound on its own."""
    of_loss = {name: math.isfinite(value) for name, value in parts.items() if name != "loss"}
    if math.isfinite(weights) and of_loss and all(of_loss.values()):
        return "lower lambda or beta, by which finite parts make a loss that is not"
    if math.isfinite(weights) and not of_loss.get("cosine", True) and of_loss.get("cross_entropy", True):
        return "the target gradients of these rows are not finite, or too large; make their store again"
    rate = f"the learning rate, {_learning_rate(optimization):g}"
    return _of_weight_decay(optimization) or (f"lower lambda, or {rate}" if "cosine" in of_loss else f"lower {rate}")


def _learning_rate(optimization: Optimization) -> float:
    """The largest of the schedule."""
    return float(optimization.optimizer.param_groups[0]["initial_lr"])


def _of_weight_decay(optimization: Optimization) -> str:
    """What to do about a weight decay that cannot but diverge; empty where it is none: an update multiplies by 1 − lr · decay."""
    rate, decay = _learning_rate(optimization), optimization.optimizer.param_groups[0].get("weight_decay", 0.0)
    if rate * decay <= 1:
        return ""
    return f"lower weight_decay, {decay:g}, or the learning rate, {rate:g}, whose product is above 1"
