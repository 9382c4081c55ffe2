"""The table of machines: which row a CPU gets, and that its tiles fit the registers."""

import platform

import pytest
from calls import python_json

from fastbp.kernels import isa
from fastbp.kernels.isa import TABLE

REGISTERS = {"plain": 16, "avx2": 16, "avx512": 32, "neon": 32}
on_x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names of x86 CPUs")
V3, V4 = TABLE["avx2"].needs, TABLE["avx512"].needs
rows = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


def row_for(monkeypatch, cpu, features=""):
    monkeypatch.setattr(isa.config, "CPU_NAME", cpu)
    monkeypatch.setattr(isa.config, "CPU_FEATURES", features)
    return isa._row().name


@on_x86
@pytest.mark.parametrize(
    ("cpu", "name"),
    [
        ("generic", "plain"),
        ("nehalem", "plain"),
        ("sandybridge", "plain"),  # AVX without FMA
        ("haswell", "avx2"),
        ("znver3", "avx2"),
        ("skylake-avx512", "avx512"),
        ("znver4", "avx512"),
    ],
)
def test_row_of_a_named_cpu(monkeypatch, cpu, name):
    assert row_for(monkeypatch, cpu) == name


def words(names, sign="+"):
    return ",".join(sign + name for name in names)


@on_x86
def test_features_add_to_a_named_cpu_and_are_taken_from_it(monkeypatch):
    assert row_for(monkeypatch, "generic", words(V3)) == "avx2"
    assert row_for(monkeypatch, "haswell", words(V4)) == "avx512"
    assert row_for(monkeypatch, "haswell", "-sse4a") == "avx2"
    for name in V3:
        assert row_for(monkeypatch, "haswell", f"-{name}") == "plain"


@on_x86
@pytest.mark.parametrize(("cpu", "name"), [("haswell", "avx2"), ("generic", "plain")])
def test_row_follows_the_environment(cpu, name):
    code = "import json; from fastbp.kernels.isa import ISA; print(json.dumps(ISA.name))"
    assert python_json(code, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="") == name


ROWS_OF_FEATURES = [((), "plain"), (V3, "avx2"), (V4, "avx512")]
ROWS_OF_FEATURES += [(tuple({*V3} - {one}), "plain") for one in V3]
ROWS_OF_FEATURES += [(tuple({*V4} - {one}), "plain" if one in V3 else "avx2") for one in V4]


@on_x86
@pytest.mark.parametrize(("features", "name"), ROWS_OF_FEATURES)
@pytest.mark.parametrize("cpu", [None, "", "host"])
def test_row_of_the_host_has_none_but_features_of_the_host(monkeypatch, cpu, features, name):
    monkeypatch.setattr(
        isa.llvm, "get_host_cpu_features", lambda: dict.fromkeys(V4, False) | dict.fromkeys(features, True)
    )
    assert row_for(monkeypatch, cpu, None) == name


@pytest.mark.parametrize("machine", ["arm64", "aarch64", "AArch64"])
def test_row_of_arm(monkeypatch, machine):
    monkeypatch.setattr(isa.platform, "machine", lambda: machine)
    assert isa._row().name == "neon"


@rows
def test_every_tile_fits_the_registers(row):
    for vectors, n_rows in enumerate(row.tile_rows, start=1):
        accumulators, one_row_of_b, one_of_a = n_rows * vectors, vectors, 1
        assert accumulators + one_row_of_b + one_of_a <= REGISTERS[row.name]


@rows
def test_a_row_of_the_table_is_consistent(row):
    assert TABLE[row.name] is row
    assert row.tile_rows and min(row.tile_rows) >= 1
    for itemsize in (4, 8):
        lanes = row.lanes(itemsize)
        assert lanes * itemsize == row.vector_bytes
        assert lanes >= 2 and lanes & (lanes - 1) == 0  # halves and transposes go by powers of two
        assert row.block_k >= itemsize
        assert row.block_n >= lanes


def test_the_row_in_use_is_of_the_table():
    assert isa.ISA in TABLE.values()
