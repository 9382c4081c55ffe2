"""Hints on how to install an extra are right where fastbp came from."""

import importlib.metadata
import json
import re
import subprocess
import sys

import pytest

from fastbp.basics import _extra


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Pretend that fastbp lies in a folder of packages, and that the installer wrote down ``origin``."""

    class Distribution:
        def read_text(self, name):
            return json.dumps(self.origin) if self.origin is not None else None

    def pretend(origin, folder=tmp_path / "site-packages" / "fastbp"):
        distribution = Distribution()
        distribution.origin = origin
        monkeypatch.setattr(_extra, "FOLDER", folder)
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: distribution)

    return pretend


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "my sources" / "fastbp"
    (folder / "fastbp").mkdir(parents=True)
    (folder / "kernels").mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def test_from_a_package_index_the_name_does(installed):
    installed(None)
    assert _extra.install("plot") == "pip install 'fastbp[plot]'"


def test_without_any_record_the_name_does(tmp_path, monkeypatch):
    def none(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_extra, "FOLDER", tmp_path / "fastbp")
    monkeypatch.setattr(importlib.metadata, "distribution", none)
    assert _extra.install("plot") == "pip install 'fastbp[plot]'"


def test_from_a_folder_that_was_installed_it_is_the_folder(installed, checkout):
    installed({"url": checkout.as_uri(), "dir_info": {}})
    assert _extra.install("plot") == f"pip install '{checkout}[plot]'"


def test_from_a_folder_that_is_gone_it_is_the_name(installed, tmp_path):
    installed({"url": (tmp_path / "gone").as_uri(), "dir_info": {}})
    assert _extra.install("plot") == "pip install 'fastbp[plot]'"


def test_from_a_wheel_it_is_the_wheel(installed, tmp_path):
    wheel = tmp_path / "fastbp-0.1.0-py3-none-any.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert _extra.install("onnx") == f"pip install '{wheel}[onnx]'"


def test_from_a_repository_it_is_the_commit(installed):
    installed({"url": "https://example.org/fastbp.git", "vcs_info": {"vcs": "git", "commit_id": "abc123"}})
    assert _extra.install("onnx") == "pip install 'fastbp[onnx] @ git+https://example.org/fastbp.git@abc123'"


@pytest.mark.parametrize("editable", [False, True])
def test_in_a_checkout_it_is_the_checkout_whatever_is_installed_beside_it(editable, installed, checkout):
    installed({"url": checkout.as_uri(), "dir_info": {"editable": editable}}, checkout / "fastbp")
    assert _extra.install("plot") == f"pip install {'-e ' * editable}'{checkout}[plot]'"
    installed(None, checkout / "fastbp")
    assert _extra.install("plot") == f"pip install '{checkout}[plot]'"


@pytest.mark.slow
def test_pip_understands_a_folder_with_an_extra(installed, checkout):
    installed(None, checkout / "fastbp")
    (checkout / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    metadata = "Metadata-Version: 2.1\nName: fastbp\nVersion: 0\nProvides-Extra: plot\n"
    (checkout / "backend.py").write_text(
        "from pathlib import Path\n"
        "def prepare_metadata_for_build_wheel(folder, config_settings=None):\n"
        "    info = Path(folder, 'fastbp-0.dist-info'); info.mkdir()\n"
        f"    (info / 'METADATA').write_text({metadata!r})\n"
        "    return info.name\n"
        "def build_wheel(*_): raise SystemExit\n"
    )
    command = _extra.install("plot").replace("pip install", f"{sys.executable} -m pip install --dry-run --no-index")
    run = subprocess.run(f"{command} --no-build-isolation", shell=True, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "Would install fastbp-0" in run.stdout


def test_every_extra_in_a_hint_is_one_that_there_is():
    """``import_extra`` and ``install`` are called with names that pyproject.toml has."""
    source = _extra.FOLDER
    words = {
        word
        for path in source.rglob("*.py")
        for word in re.findall(
            r"(?:import_extra\(\"[\w.]+\", |install\()['\"](\w+)['\"]\)", path.read_text(encoding="utf-8")
        )
    }
    assert words >= {"plot", "onnx", "torch", "tables", "data", "sklearn", "bench"}
    assert words <= set(importlib.metadata.metadata("fastbp").get_all("Provides-Extra"))


def test_no_hint_names_the_package_alone():
    hints = [path for path in _extra.FOLDER.rglob("*.py") if "'fastbp[" in path.read_text(encoding="utf-8")]
    assert hints == []
