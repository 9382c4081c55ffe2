"""A loader under a fuzzer that follows which lines it comes by: ``python fuzzed.py KIND [OPTION OF LIBFUZZER ...]``.

It ends at the first file that is neither refused nor taken for what it is, and leaves it in the current folder. Needs
atheris, which sees the lines of ``fastbp.files`` and ``fastbp.tables``; those of other libraries are not followed.
"""

import contextlib
import gc
import gzip
import sys
import tempfile
import warnings
from pathlib import Path
from types import FunctionType

import atheris
import damage

from fastbp.tables import _arrays, _frames
from fastbp.tables._errors import DataError

FOLLOWED = "fastbp.files.", "fastbp.tables."


class RepackedIdx(damage.RepackedIdx):
    """What is packed comes from the fuzzer."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.whole = gzip.decompress(self.whole)

    @staticmethod
    def made(data: bytes) -> bytes:
        return gzip.compress(data, 1)


class RepackedNpz(damage.Npz):
    """An array in an archive comes from the fuzzer."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.whole = self.entries["x.npy"]

    def made(self, data: bytes) -> bytes:
        return self.archive({"x.npy": data})

    def read(self) -> None:
        _arrays.Npz(str(self.path)).read("x")


class Csv(damage.Csv):
    """A table is read, and nothing is trained with it."""

    refusals = (DataError,)

    def read(self) -> None:
        table = _frames.read_table(self.path)
        for name in table.names:
            assert len(table.text(name)) == len(table.numbers(name)[0]) == len(table)


KINDS = {name: damage.KINDS[name] for name in ("model", "made model", "idx", "npz")}
KINDS |= {"repacked idx": RepackedIdx, "repacked npz": RepackedNpz, "csv": Csv}


def main(kind: str, *options: str) -> None:
    warnings.simplefilter("error")
    for function in gc.get_objects():
        if type(function) is FunctionType and str(function.__module__).startswith(FOLLOWED):
            atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as folder:
        reader = KINDS[kind](Path(folder))
        made = getattr(reader, "made", bytes)
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        (seeds / "whole").write_bytes(reader.whole)

        def look(data: bytes) -> None:
            reader.path.write_bytes(made(data))
            with contextlib.suppress(*reader.refusals):
                reader.read()

        atheris.Setup([sys.argv[0], *options, str(seeds)], look)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
