"""The long stages at a tiny size, in the working directory, where `write_inputs` has put what they read.

python tests/helpers/tiny_stages.py STAGE                                         by one process
torchrun --standalone --nproc-per-node 2 tests/helpers/tiny_stages.py STAGE       by two
python tests/helpers/tiny_stages.py killed KILLS SEED STAGE …                     killed at so many random moments, then to the end
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import artifacts
from rank_work import CELL, OVERRIDES, PARAMS_FILE, SEED, UNET

from pag.base.files import discard
from pag.machine.ranks import joined
from stages import evaluate, heuristic_targets, prepare, score_targets, train, train_diffusion
from stages.params.reading import Params
from stages.paths import TIMES, DatasetPaths

__all__ = ["LONG", "OUTPUTS", "TINY", "files", "run_stage", "write_inputs"]

TINY = (
    *OVERRIDES,
    "params/digits.yaml:targets.score_based.dtype=int8",
    "params/digits.yaml:targets.score_based.shard_size=10",
    "params/digits.yaml:data.images_per_class={train: 5, test: 1}",
    "params/digits.yaml:diffusion.network.channel_mult=[1]",
    "params/digits.yaml:diffusion.network.attention_downsamplings=[]",
    "params/digits.yaml:diffusion.network.num_heads=1",
    "params/digits.yaml:diffusion.steps=12",
    "params/digits.yaml:diffusion.batch_size=8",
    "params/digits.yaml:diffusion.samples={per_class: 1, steps: 2}",
    "params/digits.yaml:training.epochs=3",
    "params/digits.yaml:training.batch_size=10",
    "params/digits.yaml:training.validation_attack.steps=1",
)
PATHS = DatasetPaths("digits")
RUNS = {
    "prepare": lambda params: prepare.run(params, "digits"),
    "train_diffusion": lambda params: train_diffusion.run(params, "digits", SEED),
    "heuristic_targets": lambda params: heuristic_targets.run(params, "digits", "class_mean", SEED),
    "score_targets": lambda params: score_targets.run(params, "digits", "train", SEED),
    "train": lambda params: train.run(params, CELL),
    "evaluate": lambda params: evaluate.run(params, CELL, 1),
}
OUTPUTS = {
    "prepare": [PATHS.images],
    "train_diffusion": [PATHS.diffusion(SEED)],
    "heuristic_targets": [PATHS.targets("class_mean", SEED)],
    "score_targets": [PATHS.targets("score_based", SEED), PATHS.target_examples(SEED)],
    "train": [CELL.classifier],
    "evaluate": [CELL.evaluation],
}
LONG = ("train_diffusion", "score_targets", "train", "evaluate")


def write_inputs():
    """What the stages read, in the working directory."""
    few = Params(PARAMS_FILE, ["grid.lambdas=[]", "grid.baselines=[vanilla]"])
    artifacts.write_all(few, "digits", "resnet8")
    artifacts.write_networks(few, CELL, UNET)
    score_targets.run(Params(PARAMS_FILE, TINY), "digits", "test", SEED)


def run_stage(stage):
    """Runs a stage with the rest of the ranks, if there are others."""
    with joined():
        RUNS[stage](Params(PARAMS_FILE, TINY))


def _forked(stage):
    child = os.fork()
    if child:
        return child
    try:
        run_stage(stage)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _ended(child):
    """The signal that ended a process, or 0; it must not have failed."""
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _remove_outputs(stage):
    for path in OUTPUTS[stage]:
        discard(path)


def _killed(stage, kills, moments):
    """Kills a stage so often before its end; then it must make what it makes undisturbed."""
    started = time.monotonic()
    _ended(_forked(stage))
    length, whole, before = time.monotonic() - started, files(), 0
    _remove_outputs(stage)
    while before < kills:
        child = _forked(stage)
        time.sleep(moments.uniform(0, length))
        os.kill(child, signal.SIGKILL)
        before += _ended(child) == signal.SIGKILL
        if moments.random() < 0.5:
            _remove_outputs(stage)  # as DVC does
    _ended(_forked(stage))
    assert files() == whole, f"{stage} was killed and made something else"


def files():
    """The content of every file in the working directory, but for the log of times."""
    found = {path: path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}
    found.pop(TIMES, None)
    return found


if __name__ == "__main__":
    if sys.argv[1] == "killed":
        moments = random.Random(int(sys.argv[3]))
        for killed in sys.argv[4:]:
            _killed(killed, int(sys.argv[2]), moments)
    else:
        run_stage(sys.argv[1])
