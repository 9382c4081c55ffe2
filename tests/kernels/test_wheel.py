"""What a wheel carries: machine code where it can be made, and nothing where not."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numba
import pytest
from calls import python_json

ROOT = Path(__file__).resolve().parents[2]
MACHINE_CODE = "fastbp/kernels/machine_code/"

BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a wheel is built from."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("fastbp", "kernels", "bench"):
        ignored = shutil.ignore_patterns("__pycache__", "machine_code", "results")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    return root


@pytest.fixture
def stub(checkout, monkeypatch):
    """The maker of machine code replaced by one that writes what it was asked for."""
    carry = checkout / "fastbp" / "commands" / "_carry.py"
    before = carry.read_text()

    def replace(text):
        carry.write_text(text)

    replace(
        "import pathlib, sys\nf = pathlib.Path(sys.argv[1], 'kind')\nf.mkdir(parents=True)\n(f / sys.argv[2]).touch()"
    )
    yield replace
    carry.write_text(before)


def build(checkout, into, hook="build_wheel", **settings):
    """Return the wheel that a hook makes, and what was printed."""
    into.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FASTBP_", "PIP_"))}
    environment = environment | {"PYTHONPATH": ""} | {name: str(value) for name, value in settings.items()}
    command = [sys.executable, "-c", BUILD, hook, str(into)]
    run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (wheel,) = into.glob("*.whl")
    return wheel, run.stdout + run.stderr


def carried(wheel):
    """Names of the files of machine code in a wheel."""
    return [name.removeprefix(MACHINE_CODE) for name in zipfile.ZipFile(wheel).namelist() if MACHINE_CODE in name]


@pytest.mark.parametrize(
    ("settings", "rows"),
    [({}, "all"), ({"PIP_BUILD_TRACKER": "1"}, "own"), ({"FASTBP_MACHINE_CODE": "own"}, "own")],
    ids=["build", "pip", "told"],
)
def test_a_wheel_with_machine_code_is_for_this_python_and_platform(checkout, stub, tmp_path, settings, rows):
    wheel, _ = build(checkout, tmp_path, **settings)
    assert carried(wheel) == [f"kind/{rows}"]
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.split("-")[2].startswith("cp")
    if sys.platform != "darwin":  # where the tag has a version of its own
        assert wheel.name.endswith(f"-{platform}.whl")


def test_a_wheel_without_is_for_all(checkout, stub, tmp_path):
    (checkout / "build/lib" / MACHINE_CODE / "of an earlier build").mkdir(parents=True, exist_ok=True)
    wheel, _ = build(checkout, tmp_path, FASTBP_MACHINE_CODE="none")
    assert carried(wheel) == []
    assert wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.parametrize("failure", ["raise MemoryError", "import os; os.abort()", "import no_numba_here"])
def test_where_compiling_fails_the_wheel_has_none_and_the_build_says_so(checkout, stub, tmp_path, failure):
    made = "import pathlib, sys\npathlib.Path(sys.argv[1], 'half').mkdir(parents=True)\n"
    stub(made + failure)
    wheel, output = build(checkout, tmp_path)
    assert carried(wheel) == []
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "this wheel carries no machine code, kernels are compiled at first use: " in output


def test_an_editable_install_makes_none(checkout, stub, tmp_path):
    wheel, _ = build(checkout, tmp_path, "build_editable")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not (checkout / "kernels" / "machine_code").exists()
    assert not carried(wheel)


# ---- The whole of it ----

EVERYTHING = """
import json, os, sys
import numpy as np
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
import fastbp
from fastbp.book.optimizer import Adam
from fastbp.book.simple_convnet import SimpleConvNet
from fastbp.kernels import _jit
for dtype in (np.float32, np.float64):
    x, t = np.random.default_rng(0).random((50, 20)).astype(dtype), np.arange(50) % 5
    fastbp.mlp([20, 3], loss="mse", dtype=dtype, seed=0).step(x, x[:, :3])  # before what finds its step by an address
    book = SimpleConvNet((1, 10, 10), {"filter_num": 3, "filter_size": 3, "pad": 0, "stride": 1}, 8, 5, dtype=dtype)
    images = np.ones((50, 1, 10, 10), dtype)
    for _ in range(3):
        Adam().update(book.params, book.gradient(images, t))
    book.accuracy(images, t)
    net = fastbp.TwoLayerNet(20, 8, 5, dtype=dtype, seed=0)
    for name, gradient in net.gradient(x, t).items():
        net.params[name] -= gradient
    net.fit(x, t, epochs=2, batch_size=20, seed=0, progress=False)
    net.step(x, t)
    net.accuracy(x, t)
    layers = [getattr(fastbp, name)() for name in fastbp.activations.__all__]
    ones, zeros = np.ones(20, dtype), np.zeros(20, dtype)
    layers += [fastbp.Affine(np.ones((20, 6), dtype), np.ones(6, dtype)), fastbp.Affine(np.ones((20, 6), dtype), None)]
    layers += [fastbp.BatchNormalization(ones, zeros), fastbp.LayerNormalization(ones, zeros)]
    layers += [fastbp.Dropout(0.5), fastbp.Scale(ones, zeros), fastbp.Softmax()]
    for layer in layers:
        layer.backward(layer.forward(x))
    for normalization in ("batch", "layer", None):
        deep = fastbp.mlp([20, 16, 16, 5], normalization=normalization, dropout=0.5, dtype=dtype, seed=0)
        deep.fit(x, t, epochs=2, batch_size=20, seed=0, progress=False, optimizer=fastbp.optimizers.Adam())
print(json.dumps({
    "file": fastbp.__file__,
    "carried": _jit.carried(),
    "row": _jit.ISA.name,
    "compiled": [str(e.data["dispatcher"]) for _, e in recorder.buffer if e.is_start],
    "kept": [name for _, _, names in os.walk(os.environ["NUMBA_CACHE_DIR"]) for name in names],
}))
"""


@pytest.mark.soak
def test_a_wheel_has_all_that_training_takes_on_every_row_of_the_platform(checkout, tmp_path):
    wheel, output = build(checkout, tmp_path / "wheel")
    assert carried(wheel), output
    site = tmp_path / "site-packages"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel], check=True)
    for cpu in (None, "haswell", "generic"):
        settings = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""} if cpu else {}
        ran = python_json(EVERYTHING, root=site, cwd=tmp_path, NUMBA_CACHE_DIR=tmp_path / "cache", **settings)
        assert Path(ran["file"]).is_relative_to(site)
        assert f"-numba{numba.__version__}-" in ran["carried"]
        assert ran["compiled"] == []
        assert ran["kept"] == []
