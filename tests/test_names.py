"""The names of fastbp: what users import, and the rooms it comes from."""

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

import fastbp

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FASTBP = Path(fastbp.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
PUBLIC = (
    "activations",
    "book",
    "datasets",
    "layers",
    "losses",
    "optimizers",
    "reference",
    "schedules",
    "sklearn",
    "tables",
)
ROOMS = sorted(path.parent.relative_to(FASTBP).as_posix() for path in FASTBP.glob("*/__init__.py"))


def test_no_module_has_the_name_of_something_that_fastbp_exports():
    others = {name for name in fastbp.__all__ if not isinstance(getattr(fastbp, name), ModuleType)}
    assert others & {module.name for module in pkgutil.iter_modules([str(FASTBP)])} == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_is_imported_by_its_name(name):
    if name == "sklearn":
        pytest.importorskip("sklearn")
    module = importlib.import_module(f"fastbp.{name}")
    assert isinstance(module, ModuleType)
    assert getattr(fastbp, name) is module


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for_and_is_installed(room):
    with open(ROOT / "pyproject.toml", "rb") as file:
        packages = tomllib.load(file)["tool"]["setuptools"]["packages"]
    assert f"fastbp.{room}" in packages
    if room != "sklearn":
        assert importlib.import_module(f"fastbp.{room}").__doc__
