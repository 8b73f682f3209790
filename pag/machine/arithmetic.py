"""Which instructions a CPU computes with: those of every x86-64 with AVX2, or the fastest that it has.

Libraries choose their kernels by the processor, and sums in another order have other last bits. Told to use AVX2 alone they choose
the same ones on CPUs of one family, and artifacts have the same bytes; across makers not yet (docs/reproducibility.md). On other
CPUs than x86-64, and on GPUs, this changes nothing.
"""

import os

from pag.base.vocabulary import Arithmetic

__all__ = ["PORTABLE", "set_arithmetic"]

PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def set_arithmetic(arithmetic: Arithmetic) -> None:
    """Sets the environment that libraries read when they are loaded; processes that are started later inherit it.

    Args:
        arithmetic: `native` leaves the environment as it is.
    """
    if arithmetic == "portable":
        os.environ.update(PORTABLE)
