"""`train_toy`: the networks of the toy experiment (section 5.1, appendix G.1), each pair with and without alignment."""

from pathlib import Path

from safetensors.torch import save_file

from pag.base.files import written_whole
from pag.optimization.loop import Run
from pag.toy.training import ToyAlignment, ToyRecipe, train_toy
from stages.params.reading import Params
from stages.params.toy import ToyParams
from stages.paths import TOY_NETWORKS
from stages.run import stage_run

__all__ = ["run"]


def run(params: Params) -> Path:
    """Writes `data/toy/networks.safetensors`: the weights of all pairs, under `vanilla.…` and `aligned.…`."""
    toy = params.main.read("toy", ToyParams)
    with stage_run("train_toy", outputs=[TOY_NETWORKS]):
        recipe = ToyRecipe(
            toy.pairs, toy.data.train, toy.widths, toy.epochs, toy.batch_size, toy.optimizer.model_dump()
        )  # fmt: skip
        of = toy.alignment
        alignment = ToyAlignment(of.lambda_, of.gradient, of.pool_per_class)
        ensembles = train_toy(recipe, alignment, Run(params.seed, "toy"))
        weights = {
            f"{kind}.{name}": value.contiguous()
            for kind, ensemble in ensembles.items() for name, value in ensemble.state_dict().items()
        }  # fmt: skip
        with written_whole(TOY_NETWORKS) as partial:
            save_file(weights, partial)
    return TOY_NETWORKS
