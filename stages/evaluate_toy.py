"""`evaluate_toy`: accuracy of the toy's networks, clean and under the attack of appendix G.1, and their decision boundaries."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pag.attacks.pgd import PGD
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import write_json
from pag.base.randomness import torch_stream
from pag.toy.data import sample_points
from pag.toy.networks import MLPEnsemble
from stages.params.reading import Params
from stages.params.toy import ToyParams
from stages.paths import TOY, TOY_NETWORKS
from stages.run import stage_run

__all__ = ["run"]

DRAWN_PAIR = 0  # figure 4 shows the first pair, not the best
KINDS = ("vanilla", "aligned")


def run(params: Params) -> Path:
    """Writes `data/toy/metrics.json` and `data/toy/boundaries.safetensors`."""
    toy = params.main.read("toy", ToyParams)
    metrics_file, boundaries_file = TOY / "metrics.json", TOY / "boundaries.safetensors"
    with stage_run("evaluate_toy", outputs=[metrics_file, boundaries_file]):
        test = [sample_points(toy.data.test, torch_stream(params.seed, "toy test", e)) for e in range(toy.pairs)]
        points, labels = torch.stack([x for x, _ in test]), torch.stack([y for _, y in test])
        networks = {kind: _load(toy, kind) for kind in KINDS}
        metrics = {kind: _accuracies(networks[kind], points, labels, toy) for kind in KINDS}
        write_json(metrics_file, {**metrics, "pairs": toy.pairs, "seed": params.seed})
        x1, x2 = torch.linspace(-70, 70, 281), torch.linspace(-130, 130, 261)
        classes = {kind: _classes_on_grid(networks[kind], x1, x2) for kind in KINDS}
        drawn = {"points": points[DRAWN_PAIR], "labels": labels[DRAWN_PAIR], "pair": torch.tensor(DRAWN_PAIR)}
        with written_whole(boundaries_file) as partial:
            save_file({"grid_x1": x1, "grid_x2": x2, **classes, **drawn}, partial)
    return metrics_file


def _load(toy: ToyParams, kind: str) -> MLPEnsemble:
    model = MLPEnsemble(toy.widths, [torch.Generator() for _ in range(toy.pairs)])
    try:
        weights = load_file(TOY_NETWORKS)
        model.load_state_dict({name.partition(".")[2]: w for name, w in weights.items() if name.startswith(kind)})
    except Exception as error:
        raise InputError(f"{TOY_NETWORKS} does not hold the toy's networks ({type(error).__name__}).") from None
    return model.eval()


def _accuracies(model: MLPEnsemble, points: Tensor, labels: Tensor, toy: ToyParams) -> dict[str, dict[str, object]]:
    attack = toy.attack
    pgd = PGD(Threat(attack.norm, attack.eps), attack.steps, attack.step_size, random_start=False, bounds=None)
    x, y = points.flatten(0, 1), labels.flatten()
    x_adv = pgd(model, x, y, torch.Generator())
    return {"clean": _spread(model, x, y), "robust": _spread(model, x_adv, y)}


@torch.no_grad()
def _spread(model: MLPEnsemble, x: Tensor, labels: Tensor) -> dict[str, object]:
    """Accuracy of each network, with mean and standard deviation over the pairs."""
    correct = (model(x).argmax(1) == labels).double().unflatten(0, (model.members, -1)).mean(dim=1)
    return {"mean": float(correct.mean()), "std": float(correct.std()), "values": correct.tolist()}


@torch.no_grad()
def _classes_on_grid(model: MLPEnsemble, x1: Tensor, x2: Tensor) -> Tensor:
    grid = torch.stack(torch.meshgrid(x1, x2, indexing="xy"), dim=-1).reshape(-1, 2)
    logits: Tensor = model(grid.repeat(model.members, 1))
    drawn = logits.unflatten(0, (model.members, -1))[DRAWN_PAIR]
    classes: Tensor = drawn.argmax(1).reshape(len(x2), len(x1))
    return classes.contiguous()
