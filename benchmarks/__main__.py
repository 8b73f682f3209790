"""All benchmarks in turn, each a row of what the program's speed is held to: `make bench`.

    python benchmarks [--quick]

Shows the rows and writes them to `benchmarks/results.json`, after each benchmark anew, so that an interruption loses none.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from measuring import Row, machine, shown
from pag.base.json_files import write_json

NAMES = (
    "startup", "repeated_batch", "one_class", "objectives", "classes_per_step", "compiled_step", "peak_memory", "distillation",
    "reading_targets", "nearest_neighbors", "kernel_targets", "autoattack_blocks",
)  # fmt: skip
OUTPUT = Path(__file__).with_name("results.json")


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes: does it all run?")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Of torch on the CPU.")] = os.cpu_count() or 1,
    output: Annotated[Path, typer.Option(help="A JSON file for machine and rows.")] = OUTPUT,
) -> None:
    """Runs every benchmark."""
    torch.set_num_threads(threads)
    described, rows = machine(), list[Row]()
    for name in NAMES:
        rows += import_module(name).rows(quick)
        write_json(output, {"machine": described, "quick": quick, "rows": [row.as_dict() for row in rows]})
    Console().print(shown(rows))


if __name__ == "__main__":
    typer.run(main)
