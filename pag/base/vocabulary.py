"""The names that data, parameters and results use: norms, gradients, precisions, and what a method is."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "Arithmetic",
    "ClassesScale",
    "Family",
    "GradientOf",
    "MarginPath",
    "Method",
    "NormName",
    "ObjectiveName",
    "Precision",
    "RelativeTo",
    "SourceKind",
]

NormName = Literal["l2", "linf"]
"""A threat's norm; `pag.attacks.threats` has the norms themselves."""

GradientOf = Literal["log_softmax", "logit"]
"""The function of the logits whose input-gradient is aligned: what the score ∇ log p(y|x) is, or eq. (4) as written."""

ClassesScale = Literal["expectation", "drawn"]
"""What eq. (4)'s sum over classes is where k of the C are drawn: C times their mean, whose expectation it is, or their own sum."""

Precision = Literal["float32", "tf32", "bfloat16"]
"""How exactly networks compute (`pag.machine.precision`)."""

Arithmetic = Literal["portable", "native"]
"""Which instructions CPUs compute with (`pag.machine.arithmetic`)."""

RelativeTo = Literal["image", "own_class", "unconditional"]
"""What a target is relative to: r_c(x) − x (section 4.1), r_c(x) − r_y(x), or r_c(x) − r(x) (`pag.targets.heuristic_store`)."""

SourceKind = Literal[
    "one_image", "class_mean", "nearest_neighbor", "kernel", "score_based", "teacher", "own", "imported"
]
"""Where target gradients come from: section 4; `kernel` (`pag.targets.kernel`) and `teacher` (`pag.targets.teacher`) are not the
paper's; `own` ones a function of one's own makes, and `imported` ones were computed elsewhere.
"""

ObjectiveName = Literal[
    "cross_entropy", "adversarial", "trades", "gradient_norm", "alignment", "aligned_margin", "unknown"
]
"""What training minimised beside any alignment; `alignment` is eq. (4), `unknown` is for weights from elsewhere."""

MarginPath = Literal["stored", "random", "none"]
"""Along which direction the aligned margin moves an image: a target gradient's, one that is drawn, or not at all."""

Family = Literal[
    "vanilla", "heuristic", "own-class heuristic", "kernel", "score-based", "teacher", "imported", "aligned-margin",
    "gradient-norm", "adversarial", "unknown",
]  # fmt: skip
"""The kind of training that a method belongs to, by which figures and findings group methods."""


class Method(BaseModel):
    """How a classifier was trained, as results keep it. Nothing about a method is read from its name.

    Attributes:
        name: its key in params, `at_l2_with_score_based`.
        objective: what is minimised.
        source: the target store that it reads, by its key in params; None without alignment.
        kind: how the targets of that store were made.
        relative_to: what targets are relative to; None where they are what their source makes of them, as scores are by eq. (8).
        label: what tables and figures call it, in the paper's words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    objective: ObjectiveName
    source: str | None = None
    kind: SourceKind | None = None
    relative_to: RelativeTo | None = None
    label: str

    @property
    def family(self) -> Family:
        """By the objective where it is another than eq. (4), whatever is aligned beside; else by the targets."""
        match self.objective:
            case "adversarial" | "trades":
                return "adversarial"
            case "aligned_margin":
                return "aligned-margin"
            case "gradient_norm":
                return "gradient-norm"
            case "unknown":
                return "unknown"
        match self.kind:
            case None:
                return "vanilla"
            case "score_based":
                return "score-based"
            case "imported" | "own":
                return "imported"
            case "kernel" | "teacher" as ours:
                return ours
        return "own-class heuristic" if self.relative_to == "own_class" else "heuristic"
