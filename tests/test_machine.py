"""The numbers of a machine: where they stand, who reads them, which row it has, and that no bit depends on them."""

import ast
import math
import re
from pathlib import Path

import numpy as np
import pytest

import fastbp
from fastbp.basics import _cpu, _machine
from fastbp.kernels import machine as table
from fastbp.kernels.isa import ISA, TABLE
from fastbp.kernels.machine import FIXED, FIXED_NUMBERS, NUMBERS, ROWS, Fixed, Machine, fitted, nearest

HOUSE = Path(__file__).parents[1]
ROOMS = ["kernels", *(f"fastbp/{name}" for name in ("basics", "layers", "losses", "programs", "training"))]
FILES = {path: path.read_text(encoding="utf-8") for room in ROOMS for path in sorted((HOUSE / room).glob("*.py"))}
KB, MB = 1 << 10, 1 << 20

# ---- No number changes a bit ----

NETWORKS = [  # sizes, rows of a batch and in all, type: tiles, blocks, halves, slices, steep steps of k, thin columns
    ([20, 32, 10], 32, 70, "float32"),
    ([200, 50, 10], 100, 150, "float64"),
    ([512, 100, 70, 3], 128, 128, "float32"),
    ([4, 32, 4], 1500, 1500, "float32"),
]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return [
        (sizes, batch, rng.standard_normal((n, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], n))
        for sizes, batch, n, dtype in NETWORKS
    ]


def all_bits(data):
    """What training, single steps, predictions and layers give, of networks that are made anew."""
    found = []
    for i, (sizes, batch, x, t) in enumerate(data):
        net = fastbp.mlp(sizes, ["relu", "tanh"][i % 2], seed=0, dtype=x.dtype)
        net.fit(x, t, batch_size=batch, optimizer="adam" if i % 3 else "sgd", seed=0, progress=False)
        net.step(x[:batch], t[:batch])
        found += [*net.params.values(), net.predict(x), net.predict(x[:1])]
    x = np.linspace(-1, 1, 270_000, dtype=np.float32).reshape(300, 900)
    for layer in (fastbp.Relu(), fastbp.Affine(x[:1].T.copy() * x[:1, :200], None)):
        y = layer.forward(x)
        found += [y, layer.backward(y), layer.forward(x[:1])]
    return [array.tobytes() for array in found]


def between(rng, number):
    low = max(1, number.least)
    return round(math.exp(rng.uniform(math.log(low), math.log(number.most))))


def settings():
    """All numbers at one bound, at the other, at this or that, each at both in the end, and anywhere between."""
    rng = np.random.default_rng(0)
    for of_most in [np.zeros(len(NUMBERS), bool), *(rng.random((3, len(NUMBERS))) < 0.5)]:
        for chosen in (of_most, ~of_most):
            yield {name: (one.least, one.most)[int(m)] for (name, one), m in zip(NUMBERS.items(), chosen, strict=True)}
    for _ in range(4):
        yield {name: between(rng, number) for name, number in NUMBERS.items()}


def singly():
    for name, number in NUMBERS.items():
        yield from ({name: number.least}, {name: number.most})


def assert_no_bit_changes(data, set_threads, set_numbers, settings, all_threads):
    set_threads(1)
    expected = all_bits(data)
    for threads in all_threads:
        set_threads(threads)
        for numbers in settings:
            set_numbers(**numbers)
            assert all_bits(data) == expected, (threads, numbers)


def test_no_number_of_a_machine_changes_a_bit_of_any_result(data, set_threads, set_numbers):
    assert_no_bit_changes(data, set_threads, set_numbers, list(settings()), [2])


@pytest.mark.soak
def test_nor_does_any_alone_on_any_number_of_threads(data, set_threads, set_numbers):
    assert_no_bit_changes(data, set_threads, set_numbers, [*settings(), *singly()], [1, 2, 3, 8])


# ---- The table ----


def test_every_number_says_what_it_is():
    assert tuple(NUMBERS) == Machine._fields
    assert tuple(FIXED_NUMBERS) == Fixed._fields
    assert all(number.unit and number.meaning for number in (*NUMBERS.values(), *FIXED_NUMBERS.values()))


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_row_has_numbers_that_may_be(row):
    assert row.isa in TABLE
    if row.isa == ISA.name:  # whose scratch memory bounds them
        for name, value in row.numbers._asdict().items():
            assert NUMBERS[name].least <= value <= NUMBERS[name].most, name


def test_numbers_that_cannot_be_are_refused():
    now = _machine.numbers()
    for name, value in (("spins", 0), ("few_parts", 65), ("spins", True), ("spins", 1.5)):
        with pytest.raises(ValueError, match=rf"{name} cannot be {value}"):
            _machine.use(now._replace(**{name: value}))
    assert _machine.numbers() == now
    assert _machine.words().tolist() == list(now)


def test_every_number_is_read_by_something():
    text = "\n".join(source for path, source in FILES.items() if path.name != "machine.py")
    for name in Machine._fields:
        assert re.search(rf"\b(machine|machine_of\(team\)|numbers\(\))\.{name}\b", text), name
    for name in Fixed._fields:
        assert re.search(rf"\bFIXED\.{name}\b", text), name


# Module-level numbers elsewhere: what the form of the code follows from, layouts, formats, bounds of memory, and
# promises to people. None says where one way of computing gets faster than another.
OTHERS = {
    "isa": {"SCRATCH_BYTES", "SCRATCH_A", "ZERO_BYTES", "LINE_BYTES", "PAGE_BYTES"},
    "gemm": {"TURNED_ROWS", "TURNED_TOGETHER"},
    "plan": {"SUMS_BYTES"},
    "short_rows": {"ROWS"},
    "row_losses": {"BLOCK"},
    "shares": {"_BLOCK"},
    "pooling": {"BYTE_TAPS"},
    "choice": {"STEADINESS", "FIRST_DISTANCE"},
    "team": {"POSTED", "HIGH", "GENERATION", "MUTEX", "LAST", "NEVER", "ALONE", "CORES"},
    "cores": {"SET_WORDS"},
    "enter_program": {"WRITEABLE"},
    "enter": {"C_ORDER", "NEW_FROM_DESCR", "N_GIVEN"},
    "entry": {"FASTCALL"},
    "dropout": {"SEEDS"},
    "_arguments": {"LONGEST_SHOWN"},
    "_progress": {"ABOUT"},
    "_predictor": {"MOST_PROGRAMS"},
    "_row_slices": {"ROWS_AT_A_TIME"},
    "_ranks": {"PARCEL"},
    "_run": {"MOST_STEPS"},
    "_rows": {"MOST_BYTES"},
    "_lender": {"MOST_LENT"},
    "_stepper": {"COPIED_AT_ONCE"},
    "history": {"ROWS_OF_TABLE"},
}


def numbers_of(source):
    """Names that a module binds to whole numbers from 16 on, written as such."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            try:
                value = eval(compile(ast.Expression(node.value), "", "eval"), {"__builtins__": {}})
            except Exception:  # more than numbers
                continue
            values = value if isinstance(value, tuple) else (value,)
            if any(type(one) is int and one >= 16 for one in values):
                yield next(name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name))


def test_no_other_file_has_such_a_number():
    for path, source in FILES.items():
        if path.name not in ("machine.py", "random.py", "elementary.py"):
            assert set(numbers_of(source)) <= OTHERS.get(path.stem, set()), path


# ---- Which row a machine has ----


@pytest.mark.parametrize(
    ("isa", "vendor", "family", "caches", "name"),
    [
        ("avx512", "AuthenticAMD", 25, (32 * KB, MB, 32 * MB), "Zen 4"),
        ("avx512", "AuthenticAMD", 26, (0, 0, 0), "Zen 5"),
        ("avx512", "AuthenticAMD", 27, (48 * KB, MB, 96 * MB), "Zen 5"),  # a family nobody knows yet
        ("avx512", "GenuineIntel", 6, (32 * KB, MB, 24 * MB), "Intel server"),
        ("avx512", "", 0, (48 * KB, 2 * MB, 0), "Intel server"),
        ("avx512", "", 0, (0, 0, 0), "Zen 4"),  # nothing is known: the first
        ("avx2", "AuthenticAMD", 26, (48 * KB, MB, 32 * MB), "AVX2"),  # compiled for less than it is
        ("neon", "", 0, (128 * KB, 12 * MB, 12 * MB), "NEON"),
        ("plain", "CentaurHauls", 7, (0, 0, 0), "any CPU"),
    ],
)
def test_the_row_of_a_machine(isa, vendor, family, caches, name):
    assert nearest(isa, vendor, family, caches).name == name


def test_caches_that_are_not_known_leave_the_numbers_of_the_row():
    for row in ROWS:
        assert fitted(row, (32 * KB, MB, 0)) == row.numbers
        assert fitted(row, row.caches) == row.numbers


def test_the_last_cache_says_what_is_stored_past_it_and_what_stays_in_it():
    large, small = (fitted(ROWS[0], (32 * KB, MB, last)) for last in (96 * MB, 4 * MB))
    assert (large.stream_bytes, large.predict_bytes) == (192 * MB, 8 * MB)
    assert (small.stream_bytes, small.predict_bytes) == (64 * MB, MB)


def test_products_have_parts_for_all_cores():
    for cores, few, many in ((1, 4, 8), (2, 4, 8), (16, 16, 32), (1000, 64, 64)):
        numbers = fitted(ROWS[0], ROWS[0].caches, cores)
        assert (numbers.few_parts, numbers.many_parts) == (few, many)


def test_a_system_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(_cpu, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(_cpu, "CACHES", tmp_path / "none")
    cpu = _cpu._linux()
    assert (cpu.vendor, cpu.family, cpu.caches) == ("", 0, (0, 0, 0))
    assert nearest(ISA.name, *cpu[1:]).isa == ISA.name


def test_what_linux_says(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(
        "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel name\t: A B\n\nvendor_id\t: X\n"
    )
    sizes = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2048K"), ("3", "Unified", "105M")]
    for i, said in enumerate([*sizes, ("?", "Unified", "many")]):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, value in zip(("level", "type", "size"), said, strict=True):
            (folder / name).write_text(f"{value}\n")
    (tmp_path / "index9").mkdir()  # with nothing in it
    monkeypatch.setattr(_cpu, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(_cpu, "CACHES", tmp_path)
    assert _cpu._linux() == ("A B", "GenuineIntel", 6, (48 * KB, 2 * MB, 105 * MB))


@pytest.mark.parametrize(
    ("said", "vendor", "family"),
    [
        ("Intel64 Family 6 Model 85 Stepping 4, GenuineIntel", "GenuineIntel", 6),
        ("AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD", "AuthenticAMD", 25),
        ("a new one", "", 0),
    ],
)
def test_what_windows_says(monkeypatch, said, vendor, family):
    monkeypatch.setattr(_cpu.platform, "processor", lambda: said)
    assert _cpu._other() == (said, vendor, family, (0, 0, 0))


def test_what_cannot_be_asked_for_is_nothing():
    assert (_cpu._of_sysctl("hw.none", int), _cpu._of_sysctl("hw.none", str)) == (0, "")


def test_the_numbers_in_use_are_those_that_teams_hold(set_threads, set_numbers):
    from fastbp.basics import _team
    from fastbp.kernels import team

    set_threads(2)
    set_numbers(spins=123)
    words = _team.current()._teams
    assert set(words[:, team.MACHINE]) == {_machine.words().ctypes.data}
    assert Machine(*_machine.words().tolist()).spins == _machine.numbers().spins == 123


def test_fixed_numbers_follow_from_the_vectors_alone():
    assert table.FIXED is FIXED
    assert table.FIXED_BY_ROW.get(ISA.name, Fixed()) == FIXED
    assert set(table.FIXED_BY_ROW) <= set(TABLE)
