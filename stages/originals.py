"""`originals`: which original files a data set has, so that DVC notices a picture that is added, changed or taken away."""

import hashlib
from pathlib import Path

from pag.base.files import written_whole
from stages.params.reading import Params
from stages.paths import DatasetPaths, data_root
from stages.prepare import original_of
from stages.run import stage_run

__all__ = ["run"]

VERIFIED = "Published files, verified by their checksums when they are read."


def run(params: Params, dataset: str) -> Path:
    """Writes `data/<dataset>/originals.txt`: a digest and a path for each image of a folder that is taken.

    Raises:
        InputError: the folder is not laid out as it must be.
    """
    root, paths = data_root(params), DatasetPaths(dataset)
    with stage_run("originals", dataset, outputs=[paths.originals]), written_whole(paths.originals) as partial:
        files = original_of(params, dataset).files
        names = [path.relative_to(root) if path.is_relative_to(root) else path for path in files]
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        lines = [f"{digest} {name}" for digest, name in zip(digests, names, strict=True)]
        partial.write_text("".join(f"{line}\n" for line in lines or [VERIFIED]), encoding="utf-8")
    return paths.originals
