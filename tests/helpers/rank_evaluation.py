"""What `test_module.py` has 2 ranks do: evaluate a module in a process group of one's own, and print what each of them gets.

torchrun --standalone --nproc-per-node 2 tests/helpers/rank_evaluation.py
"""

import sys
from pathlib import Path

from torch import distributed

__all__ = ["measured"]

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "evaluation")]


def measured():
    """Who withstands, by evaluation and curve, and the checks; as one line."""
    from test_module import FIRST, THREATS, honest, images, labels

    from pag.evaluation.curve import robustness_curve
    from pag.evaluation.module import evaluate

    options = {"attack": FIRST, "block_size": 7}
    evaluation = evaluate(honest(), images(), labels(), THREATS, **options)
    curve = robustness_curve(honest(), images(), labels(), "linf", [0.05, 0.15], **options)
    withstood = [outcome.withstood.tolist() for outcome in evaluation.outcomes.values()]
    return repr((withstood, curve.withstood.tolist(), {k: c.passed for k, c in evaluation.sanity.items()}))


if __name__ == "__main__":
    distributed.init_process_group("gloo")
    line = measured()
    sys.stdout.write(f"{line}\n")
    distributed.barrier()
    distributed.destroy_process_group()
