"""`portable` chooses AVX2's kernels on every x86-64, `native` those of the machine."""

import os
import subprocess
import sys

from pag.machine.arithmetic import PORTABLE, set_arithmetic

KERNELS = """
import sys
from pag.machine.arithmetic import set_arithmetic
set_arithmetic(sys.argv[1])
assert not {"numpy", "torch"} & set(sys.modules)
import numpy._core._multiarray_umath as numpy
import torch
print(torch.backends.cpu.get_cpu_capability(), any(numpy.__cpu_features__.get(f, False) for f in ("X86_V4", "AVX512_ICL")))
"""


def kernels(arithmetic):
    clean = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", KERNELS, arithmetic],
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_portable_arithmetic_has_no_kernels_beyond_avx2():
    capability, numpys = kernels("portable")
    assert capability != "AVX512"
    assert numpys == "False"


def test_native_arithmetic_leaves_the_environment_alone(monkeypatch):
    for name in PORTABLE:
        monkeypatch.delenv(name, raising=False)
    set_arithmetic("native")
    assert not set(PORTABLE) & set(os.environ)
    set_arithmetic("portable")
    assert {name: os.environ[name] for name in PORTABLE} == PORTABLE
