"""`train_toy`: the networks of the toy experiment (section 5.1, appendix G.1), each pair with and without alignment."""

from safetensors.torch import save_file
from torch import Tensor

from pag.base.files import written_whole
from pag.toy.training import train_toy
from stages.params.reading import Params
from stages.params.toy import ToyParams
from stages.paths import TOY_NETWORKS
from stages.run import stage_run

__all__ = ["run"]


def run(params: Params) -> None:
    """Writes `data/toy/networks.safetensors`: the weights of all pairs, under `vanilla.…` and `aligned.…`."""
    toy = params.main.read("toy", ToyParams)
    with stage_run("train_toy"):
        weights: dict[str, Tensor] = {}
        for kind, lambda_ in (("vanilla", 0.0), ("aligned", toy.alignment.lambda_)):
            model = train_toy(
                toy.pairs, points=toy.data.train, widths=toy.widths, epochs=toy.epochs, batch_size=toy.batch_size,
                optimizer=toy.optimizer.model_dump(), lambda_=lambda_, gradient=toy.alignment.gradient,
                pool_per_class=toy.alignment.pool_per_class, seed=params.seed, description=f"toy, {kind}",
            )  # fmt: skip
            weights |= {f"{kind}.{name}": value.contiguous() for name, value in model.state_dict().items()}
        with written_whole(TOY_NETWORKS) as partial:
            save_file(weights, partial)
