"""The folder that a classifier is kept in: `model.safetensors`, `config.json`, enough to rebuild it, and a model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from pag.base.errors import InputError
from pag.base.json_files import read_json, write_json
from pag.networks.architectures import Classifier, build
from pag.networks.checkpoints import file_digest, load_checkpoint, load_state, read_state_dict

__all__ = ["check_classifier", "load_classifier", "load_weights", "save_classifier"]

TOLD = 60  # characters of a value in a message


def save_classifier(folder: Path, model: nn.Module, config: Mapping[str, Any]) -> None:
    """Writes `model.safetensors`, `config.json` and the model card `README.md` into an existing folder.

    Args:
        folder: where to.
        model: the trained classifier.
        config: `architecture` (options of `build`), `image_shape`, `num_classes`, and what the card states:
            `dataset`, `class_names`, `method` (a `Method` as JSON), `lambda`, `seed`. Beside them may stand whatever
            `check_classifier` is to compare.
    """
    weights = folder / "model.safetensors"
    save_file({name: value.contiguous().cpu() for name, value in model.state_dict().items()}, weights)
    write_json(folder / "config.json", {**config, "weights_sha256": file_digest(weights)})
    (folder / "README.md").write_text(_card(config), encoding="utf-8")


def _card(config: Mapping[str, Any]) -> str:
    channels, height, width = config["image_shape"]
    family, options = config["architecture"]["family"], _options(config["architecture"])
    weight = "" if config["lambda"] is None else f", λ = {config['lambda']:g}"
    shown = config["class_names"][:10]
    names = ", ".join([*shown, *(["…"] if len(shown) < config["num_classes"] else [])])
    method = config["method"]["name"]
    return f"""# {config["dataset"]}: {method}

An image classifier, trained on {config["dataset"]} by the method `{method}`{weight} (seed {config["seed"]}), after
Ganz, Kawar and Elad, "Do Perceptually Aligned Gradients Imply Robustness?" (ICML 2023). How
accurate and how robust it is stands in the evaluation of the run that made it.

- Architecture: `{family}` with {options}.
- Input: images of {channels} × {height} × {width} with pixels in [0, 1]; the normalisation is part of the model.
- Output: logits of {config["num_classes"]} classes: {names}.
- Files: `model.safetensors` (weights) and `config.json` (all that is needed to rebuild the network).

```python
from pag import load_classifier

model = load_classifier("path/of/this/folder")  # a torch.nn.Module in evaluation mode
```

AutoAttack, Foolbox and RobustBench take it as it is. The software is the Python package `pag`, which trained it; by
`pag export program` the network becomes a file that needs torch alone, or ONNX.

It is meant for research on robustness, and was not tested for other uses.
"""


def _options(architecture: Mapping[str, Any]) -> str:
    """A family's options but the normalisation, which the card's reader need not know: `channels 16, 32, 64; norm none`."""
    options = {name: value for name, value in architecture.items() if name not in ("family", "normalization")}
    lists = {name: ", ".join(map(str, value)) for name, value in options.items() if isinstance(value, list | tuple)}
    return "; ".join(f"{name} {value}" for name, value in (options | lists).items())


def check_classifier(folder: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Makes sure that a folder holds the classifier that it is taken for, by what its configuration says of it.

    Args:
        folder: of the classifier.
        expected: values of `config.json`, by their keys; a key that the file lacks is not compared, since older ones have fewer.

    Returns:
        The configuration.

    Raises:
        InputError: the file is missing or damaged, or a value is another; the sentence names the key and both values.
    """
    file = folder / "config.json"
    config = read_json(file)
    for key, value in expected.items():
        if key in config and config[key] != value:
            raise InputError(
                f"{file} is of another classifier: its {key} is {_told(config[key])}, not {_told(value)}; train it again."
            )
    return config


def _told(value: object) -> str:
    text = str(value)
    return text if len(text) <= TOLD else f"{text[:TOLD]}…"


def load_classifier(folder: Path | str) -> nn.Module:
    """Reads a classifier folder: an `nn.Module` on pixels in [0, 1], in evaluation mode, as attack libraries take it.

    No code comes from the folder and nothing is unpickled. But where `config.json` has a family `package.module:ClassName`, that
    module, which must be installed or on Python's path, is imported and the class called: read such a file before you load it.

    Raises:
        InputError: a file is missing, damaged, or of another architecture, or the family cannot be imported.
    """
    folder = Path(folder)
    config = read_json(folder / "config.json")
    try:
        shape = tuple(config["image_shape"])
        model = build(image_shape=shape, num_classes=config["num_classes"], **config["architecture"])
    except Exception as error:  # of sizes that no layer can have torch raises what it likes
        what = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"{folder / 'config.json'} does not describe a classifier ({what}).") from None
    load_checkpoint(folder / "model.safetensors", model, config.get("weights_sha256"))
    return model.eval()


def load_weights(path: Path | str, model: Classifier) -> None:
    """Copies weights from anywhere into a classifier: ours, or a public checkpoint of the network inside.

    Args:
        path: safetensors, or a file as `torch.save` writes it, `DataParallel`'s names included.
        model: of the file's architecture; a foreign network's normalisation is what `model` has.

    Raises:
        InputError: the file is missing, damaged, or of another architecture (the first names that differ are listed).
    """
    path = Path(path)
    state = read_state_dict(path)
    load_state(state, model if "mean" in state else model.network, path)
