"""The options that say how data become what a network is trained on."""

import argparse
from dataclasses import dataclass

from fastbp.commands import CommandError
from fastbp.commands import _options as types
from fastbp.commands._network import NetworkOptions
from fastbp.tables._prepare import BALANCED, Preparation


@dataclass(frozen=True, kw_only=True)
class PreparationOptions(NetworkOptions):
    """How the data are prepared, with the network and its training, on which that depends."""

    validation: float | None
    drop: tuple[str, ...]
    categorical: tuple[str, ...]
    dates: bool
    missing: tuple[str, ...]
    fill_missing: bool
    no_standardize: bool
    scale: float | None

    def preparation(self) -> Preparation:
        """What is asked of the way from samples to what the network is trained on."""
        names = "loss", "drop", "categorical", "missing", "dates", "fill_missing", "scale", "validation", "seed"
        asked = {name: getattr(self, name) for name in names}
        return Preparation(**asked, standardize=not self.no_standardize, class_weight=self._class_weight())

    def _class_weight(self) -> str | dict[str, float] | None:
        words = [weight for weight in self.class_weight if isinstance(weight, str)]
        if not words:
            return dict(weight for weight in self.class_weight if not isinstance(weight, str)) or None
        if len(self.class_weight) > 1:
            raise CommandError("--class-weight is balanced or CLASS=X, not both", 2)
        return BALANCED


def add_preparation_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--validation", metavar="SHARE", type=types.share, help="of a file's samples, to validate with (default: 0.2)")
    add("--drop", metavar="COLUMN", nargs="+", default=[], help="columns to leave out")
    add("--categorical", metavar="COLUMN", nargs="+", default=[], help="columns of numbers that are categories")
    add("--dates", action="store_true", help="take year, month and day of week of dates as numbers")
    words = "what else stands for a missing entry, as '?' or -999"
    add("--missing", metavar="WORD", nargs="+", default=[], help=words)
    missing = "take missing numbers as the mean, missing categories as none (default: an error)"
    add("--fill-missing", action="store_true", help=missing)
    add("--no-standardize", action="store_true", help="take numbers as they are")
    add("--scale", metavar="X", type=types.above_0, help="times each number of an array (default: 1/255 for bytes)")
