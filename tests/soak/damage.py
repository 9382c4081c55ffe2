"""Files that are damaged, or made with bad intent: ``python damage.py KIND SEED N`` reads N of a kind, or of all.

Prints as JSON how many were refused and how many taken, and by how much the process grew; each file that did anything
else stands there with its seed, as ``python damage.py KIND ITS_SEED 1`` has it again.
"""

import contextlib
import faulthandler
import gzip
import hashlib
import io
import json
import random
import re
import resource
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

import fastbp
from fastbp import cli, datasets
from fastbp.files.idx import IMAGES, read_idx
from fastbp.tables import _arrays
from fastbp.tables._errors import DataError

HANGS = 120  # seconds after which a file is said to hang
MOST = 1 << 30  # bytes by which the process may grow at any moment; a byte more is a MemoryError

# What parsers stumble over: bounds of integers, what is no number, and what has a meaning in one of the formats.
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1]
WORDS = [
    *(
        b"NaN Infinity -1 0 1e999 1e-999 99999999999999999999 -9223372036854775808 1.5 true null [] {} [[]] {}{}"
    ).split(),
    *(
        b"__metadata__ fastbp version sha256 dtype F32 F64 BF16 shape data_offsets Affine Dropout W b layers loss"
    ).split(),
    *(b"<f8 |O <U9999999 <V8 (2,) (0,) (-1,) (1,)*9 True __import__('os') x.npy t.npy ../x /dev/zero").split(),
    *(b', ; \t | " "" \n \r\n \r nan NA =1+1 # \xc3\xa9 \0 \xff\xfe \xef\xbb\xbf').split(b" "),
]


def mutated(draw: random.Random, data: bytes, text: bool = False) -> bytes:
    """``data`` with one to four changes; what comes into a ``text`` is mostly text."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at, n = draw.randrange(len(data) + 1), draw.choice((1, 2, 4, 8, draw.randrange(1, 200)))
        kind, ascii = draw.randrange(9), text and draw.random() < 0.9
        new = bytes(draw.choices(range(32, 127), k=n)) if ascii else draw.randbytes(n)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(7 if ascii else 8)
        elif kind == 1:
            data[at : at + n] = b""
        elif kind == 2:
            data[at:at] = new
        elif kind == 3:
            data[at : at + n] = new
        elif kind == 4:
            data[at:] = b""
        elif kind == 5 and not ascii:
            size, order = draw.choice((1, 2, 4, 8)), draw.choice(("little", "big"))
            data[at : at + size] = (draw.choice(NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, order)
        elif kind == 6:
            where = draw.randrange(len(data) + 1)
            data[where:where] = data[at : at + n]
        elif kind == 7:
            word = draw.choice(WORDS[:-4] if ascii else WORDS)
            data[at : at + draw.choice((0, len(word)))] = word
        elif found := list(re.finditer(rb"-?\d+(\.\d+)?", data)):  # a number in words becomes another
            begin, end = draw.choice(found[:400]).span()
            data[begin:end] = draw.choice((*WORDS[:12], str(draw.choice(NUMBERS)).encode()))
    return bytes(data)


# ---- Whole files of each kind, and what may come of damaged ones ----


def one_model(folder: Path) -> bytes:
    layers = [
        fastbp.Affine(np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32), np.zeros(2, "f4")),
        fastbp.BatchNormalization(np.ones(2, np.float32), np.zeros(2, np.float32)),
        fastbp.LeakyRelu(0.1),
        fastbp.Dropout(0.5, seed=1),
        fastbp.Affine(np.ones((2, 2), np.float32), None),
    ]
    net = fastbp.Sequential(layers)
    x = np.eye(4, 3, dtype=np.float32)
    state = net.fit(x, [0, 1, 0, 1], seed=0, optimizer="adam", patience=2, validation_data=(x, [0, 1, 0, 1]))
    net.save(folder / "model", state=state.state, extra={"classes": ["a", "b"]})
    return (folder / "model").read_bytes()


def weights(checkpoint) -> list:
    """What a checkpoint holds, to be compared."""
    net, state = checkpoint.net, checkpoint.state
    arrays = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in net.params.items()}
    return [arrays, repr(net), state and (state.step, state.history, state.parameters.tobytes()), checkpoint.extra]


class Model:
    """A model file: it is the one that was written, or refused."""

    refusals = (fastbp.ModelFileError,)

    def __init__(self, folder: Path) -> None:
        self.whole, self.path = one_model(folder), folder / "damaged"
        self.expected = weights(fastbp.load_checkpoint(folder / "model"))

    def damaged(self, draw: random.Random) -> bytes:
        return mutated(draw, self.whole)

    def read(self) -> None:
        assert weights(fastbp.load_checkpoint(self.path)) == self.expected, "other weights are taken"


class MadeModel(Model):
    """As above with a checksum that fits: a network that predicts, or refused."""

    def damaged(self, draw: random.Random) -> bytes:
        length = int.from_bytes(self.whole[:8], "little")
        header, tensors = self.whole[8 : 8 + length], self.whole[8 + length :]
        changed = mutated(draw, header, text=True) if draw.random() < 0.9 else header
        tensors = mutated(draw, tensors) if draw.random() < 0.2 else tensors
        return self.made(len(changed).to_bytes(8, "little") + changed + tensors)

    @staticmethod
    def made(data: bytes) -> bytes:
        """``data`` with the checksum that fits, where it has one."""
        data = bytearray(data)
        if found := re.search(rb'\\"sha256\\":\\"([0-9a-f]{64})\\"', data):
            data[slice(*found.span(1))] = b"0" * 64
            data[slice(*found.span(1))] = hashlib.sha256(data).hexdigest().encode()
        return bytes(data)

    def read(self) -> None:
        net = fastbp.load(self.path)
        with np.errstate(all="ignore"):
            y = net.predict(np.ones((2, 3), np.float32))
        assert y.shape == (2, 2)


class Idx:
    """A file of MNIST: an array of the size that its header says, or refused."""

    refusals = (datasets.DatasetError,)

    def __init__(self, folder: Path) -> None:
        array = np.random.default_rng(0).integers(0, 256, (20, 4, 3), dtype=np.uint8)
        self.array, self.path = array, folder / "damaged"
        self.whole = np.array([IMAGES, *array.shape], ">u4").tobytes() + array.tobytes()

    def damaged(self, draw: random.Random) -> bytes:
        return mutated(draw, self.whole)

    def read(self) -> None:
        found = read_idx(self.path, IMAGES)
        assert found.dtype == np.uint8 and 16 + found.size == self.path.stat().st_size


class PackedIdx(Idx):
    """As above packed with gzip, whose checksum finds every other array."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "damaged.gz"
        self.whole = gzip.compress(self.whole, mtime=0)

    def read(self) -> None:
        np.testing.assert_array_equal(read_idx(self.path, IMAGES), self.array)


class RepackedIdx(PackedIdx):
    """What was packed is damaged, and its checksum fits."""

    def damaged(self, draw: random.Random) -> bytes:
        return gzip.compress(mutated(draw, gzip.decompress(self.whole)), 1)

    def read(self) -> None:
        found = read_idx(self.path, IMAGES)
        assert 16 + found.size == len(gzip.decompress(self.path.read_bytes()))


X, T = np.random.default_rng(0).random((12, 3)), np.arange(12) % 2


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


class Npz:
    """An archive of arrays: those that were put in, or refused."""

    refusals = (DataError,)
    pack = zipfile.ZIP_DEFLATED

    def __init__(self, folder: Path) -> None:
        self.path, self.entries = folder / "damaged.npz", {"x.npy": npy(X), "t.npy": npy(T)}
        self.whole = self.archive(self.entries)

    def archive(self, entries: dict) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", self.pack) as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
        return file.getvalue()

    def damaged(self, draw: random.Random) -> bytes:
        return mutated(draw, self.whole)

    def read(self) -> None:
        file = _arrays.Npz(str(self.path))
        for name in file.names:
            found = file.read(name)
            assert any(np.array_equal(found, array) for array in (X, T)), f"{name} is {found!r}"


class RepackedNpz(Npz):
    """The arrays are damaged, and the checksums of the archive fit: a network is trained, or one line says why not."""

    refusals = ()

    def damaged(self, draw: random.Random) -> bytes:
        changed = draw.choice(list(self.entries))
        return self.archive(self.entries | {changed: mutated(draw, self.entries[changed])})

    def read(self) -> None:
        train("--data", self.path)


class Npy(RepackedNpz):
    """An array in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.path, self.target, self.whole = folder / "damaged.npy", folder / "t.npy", npy(X)
        self.target.write_bytes(npy(T))

    def damaged(self, draw: random.Random) -> bytes:
        return mutated(draw, self.whole)

    def read(self) -> None:
        train("--data", self.path, "--target", self.target)


class Csv(Npy):
    """A table as text."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "damaged.csv"
        words = ("red", "blue", "green")
        rows = ["a,b,colour,note,t"]
        for n, (a, b, _) in enumerate(X):
            rows.append(f'{a:.3f},{b:.1e},{words[n % 3]},"q {n}, 2026-01-0{1 + n % 9}",{n % 2}')
        self.whole = "\n".join([*rows, ""]).encode()

    def damaged(self, draw: random.Random) -> bytes:
        return mutated(draw, self.whole, text=True)

    def read(self) -> None:
        train("--data", self.path, "--target", "t", "--drop", "note")


class PackedCsv(Csv):
    """A table as text, packed: itself damaged, or what was packed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "damaged.csv.gz"

    def damaged(self, draw: random.Random) -> bytes:
        if draw.random() < 0.5:
            return mutated(draw, gzip.compress(self.whole, mtime=0))
        return gzip.compress(mutated(draw, self.whole, text=True), 1)


class Toml(Csv):
    """A file of options."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "damaged.toml"
        self.whole = (
            b'hidden = [3, 2]\nlr = 0.1\nbatch-size = 4\noptimizer = "adam"\nactivation = "tanh"\n'
            b'dropout = 0.1\nseed = 3\nloss = "mse"\nno-shuffle = true\npatience = 2\n'
        )

    def read(self) -> None:
        train("--data", "digits", "--config", self.path)


def train(*arguments: object) -> None:
    """``fastbp train`` trains, or says in one line why it does not."""
    out, errors = io.StringIO(), io.StringIO()
    given = ["train", *map(str, arguments), "--epochs", "1", "--threads", "1"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = cli.main(given)
    said = errors.getvalue()
    if code == 0:
        return
    assert code in (1, 2, 3), f"exit code {code}: {said}"
    assert said.startswith("fastbp: ") and said.count("\n") == 1, said
    raise Refused(said)


class Refused(Exception):
    """A command said in one line why it stopped."""


KINDS = {
    "model": Model,
    "made model": MadeModel,
    "idx": Idx,
    "packed idx": PackedIdx,
    "repacked idx": RepackedIdx,
    "npz": Npz,
    "repacked npz": RepackedNpz,
    "npy": Npy,
    "csv": Csv,
    "packed csv": PackedCsv,
    "toml": Toml,
}


def main(kind: str, seed: int, n: int) -> dict:
    """Read ``n`` damaged files."""
    result: dict = {"refused": 0, "taken": 0, "wrong": []}
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        reader = KINDS[kind](Path(folder))
        reader.path.write_bytes(reader.whole)
        reader.read()  # what is whole is taken, and all is imported and compiled
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else None
        if pages is not None:
            most = pages * resource.getpagesize() + MOST
            resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
        for number in range(seed, seed + n):
            data = reader.damaged(random.Random(f"{kind} {number}"))
            reader.path.write_bytes(data)
            faulthandler.dump_traceback_later(HANGS, exit=True)
            try:
                reader.read()
                result["taken"] += 1
            except (*reader.refusals, Refused) as error:
                result["refused"] += 1
                if "\n" in str(error).rstrip("\n"):
                    result["wrong"].append((number, f"more than a line: {error}"))
            except BaseException as error:
                result["wrong"].append((number, f"{type(error).__name__}: {error}"[:500]))
        faulthandler.cancel_dump_traceback_later()
        result["grown"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return result


if __name__ == "__main__":
    kinds = list(KINDS) if sys.argv[1] == "all" else sys.argv[1:2]
    print(json.dumps({kind: main(kind, int(sys.argv[2]), int(sys.argv[3])) for kind in kinds}))
