"""Kernels compiled for AArch64 on whatever machine this is: their assembly computes with whole vectors."""

import pytest
from calls import python, python_json

COUNT = "import sys, for_aarch64; for_aarch64.count(sys.argv[1], sys.argv[2:])"
FEW = """
import pickle, sys
from pathlib import Path
from numba import float32, float64, int64, void

place = [int64] * 3
functions = ("sigmoid", "relu_back")
few = {("fastbp.kernels.activations", f, void(*place, one)) for f in functions for one in (float32, float64)}
entries = ("relu", "relu_backward"), ("dropout", "drop_backward")
few |= {(f"fastbp.kernels.{m}", f, int64(int64, int64, one)) for m, f in entries for one in (float32, float64)}
few |= {("fastbp.kernels.deviance", "poisson", void(*[int64] * 4, float64, float64))}
few |= {("fastbp.kernels.convolution_tile", "convolution_tiles", int64(one)) for one in (float32, float64)}
few |= {("fastbp.kernels.gemm", "planned_product", void(*[int64] * 6, float32, *place))}
Path(sys.argv[1]).write_bytes(pickle.dumps(few))
"""
ALL = """
import sys
from pathlib import Path
from numba.core.serialize import dumps
from fastbp.commands import _carry
from fastbp.commands.warmup import DTYPES, work_in

for dtype in DTYPES:
    for _, use in work_in(dtype):
        use()
Path(sys.argv[1]).write_bytes(dumps(_carry.in_use()))
"""
# Where every kernel computes by itself, and does not only have others do it. Without normalization, of whose gradients
# LLVM can compile on AArch64 alone what counts numba's references.
COMPUTING = (
    "activations",
    "columns",
    "convolution_tile",
    "deviance",
    "dropout",
    "element_losses",
    "gemm",
    "leaky_relu",
    "optimizer",
    "relu",
    "softmax",
)


def counted(code, folder):
    """Of each kernel: its name, its signature, instructions on vectors, and multiply-adds by type."""
    python(code, folder / "signatures", timeout=3600)
    return python_json(COUNT, folder / "signatures", *COMPUTING, timeout=3600, NUMBA_CACHE_DIR=folder / "cache")


@pytest.mark.slow
def test_a_few_kernels_have_vectors_of_each_type(tmp_path):
    rows = counted(FEW, tmp_path)
    assert len(rows) == 12
    for name, signature, vectors, fused in rows:
        assert vectors >= 4, name
        kind, other = ("4s", "2d") if "float32" in signature else ("2d", "4s")
        assert fused[other] == 0
        assert "back" in name or fused[kind] >= 4, f"{name} has no fmla v..{kind}"


@pytest.mark.soak
def test_every_kernel_that_computes_has_vectors(tmp_path):
    rows = counted(ALL, tmp_path)
    assert len(rows) > 90
    print(f"{len(rows)} kernels, {sum(row[2] for row in rows)} instructions on vectors")
    # Dropout draws by products of 64 bits, of which there are no vectors.
    assert {row[0].rpartition(".")[2] for row in rows if not row[2]} == {"drop"}
