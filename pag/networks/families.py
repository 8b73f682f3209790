"""Families of networks: ours by name, anybody's own as `package.module:ClassName`. Only the family that is used is imported.

A class is called with `image_shape=(ch, H, W)`, `num_classes=C` and the options of its section; it takes normalised images
`(B, ch, H, W)` and gives logits `(B, C)`. To resolve a name needs no torch.
"""

import importlib
import re
from collections.abc import Callable, Mapping

from pag.base.errors import InputError

__all__ = ["FAMILIES", "OWN_FAMILY", "family_class", "family_module"]

FAMILIES: Mapping[str, str] = {
    "resnet": "pag.networks.architectures.resnet:ResNet",
    "vit": "pag.networks.architectures.vit:ViT",
    "vgg": "pag.networks.architectures.vgg:VGG",
    "mlp_mixer": "pag.networks.architectures.mlp_mixer:MLPMixer",
    "wide_resnet": "pag.networks.architectures.wide_resnet:WideResNet",
}
OWN_FAMILY = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


def family_module(family: str) -> str:
    """The dotted name of the module that a family's class is in.

    Args:
        family: a key of `FAMILIES`, or `package.module:ClassName`.

    Raises:
        InputError: it is neither.
    """
    return _parts(family)[0]


def family_class(family: str) -> Callable[..., object]:
    """The class of a family, from its module, which is imported: what the module does at import is run.

    Args:
        family: a key of `FAMILIES`, or `package.module:ClassName` of a module on Python's path.

    Raises:
        InputError: it is neither, the module cannot be imported, or it has no such class.
    """
    module_name, class_name = _parts(family)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise InputError(f"The architecture family {family!r} cannot be imported ({error}).") from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise InputError(f"The architecture family {family!r} does not exist: {module_name} has no class {class_name}.")
    return found


def _parts(family: str) -> tuple[str, str]:
    """Module and class."""
    place = FAMILIES.get(family, family)
    if not re.fullmatch(OWN_FAMILY, place):
        known = ", ".join(FAMILIES)
        raise InputError(f"Unknown architecture family {family!r}; known are {known}, and one's own as module:Class.")
    module, _, name = place.partition(":")
    return module, name
