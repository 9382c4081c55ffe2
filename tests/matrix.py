"""The tests under other Pythons, and under the oldest and the newest of what fastbp stands on.

``python tests/matrix.py [ENVIRONMENT ...] [--list] [--folder FOLDER] [-- PYTEST ARGUMENTS]`` makes each environment
that this machine has a Python for, in ``FOLDER``, and runs the short suite in it; it leaves out the others. It ends
with a line for each environment, and with 1 where one of them failed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
EXTRAS = ("data", "plot", "sklearn", "tables")  # whose lower bounds count too
SHORT = ["-q", "-p", "no:cacheprovider"]
OLD = ["-o", "filterwarnings=default"]  # old libraries are warned by new ones
# The first release that there is for a Python, where that is younger than the bound of pyproject.toml.
FIRST = {
    "3.13": {"numpy": "2.1.0", "polars": "1.10.0", "pandas": "2.2.3", "matplotlib": "3.9.2"},
    "3.14": {"numba": "0.63.0", "numpy": "2.3.3", "scikit-learn": "1.7.2", "matplotlib": "3.10.6", "pandas": "2.3.3"},
}


def lower_bounds(python: str) -> list[str]:
    """Each requirement at its lower bound: what fastbp needs, and what its optional parts do."""
    text = (ROOT / "pyproject.toml").read_text()
    lists = [re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)]
    lists += [re.search(rf"^{extra} = \[(.*)\]$", text, re.MULTILINE) for extra in EXTRAS]
    bounds = {}
    for found in lists:
        for name, bound in re.findall(r'"([a-z0-9-]+)>=([0-9.]+)', found.group(1) if found else ""):
            bounds[name] = bound
    return [f"{name}=={bound}" for name, bound in (bounds | FIRST.get(python, {})).items() if name in bounds]


def environments() -> dict[str, tuple[str, list[str]]]:
    """For each environment its Python, and what is asked for beside fastbp's own requirements."""
    return {
        f"{python}-{age}": (python, lower_bounds(python) if age == "oldest" else [])
        for python in PYTHONS
        for age in ("oldest", "newest")
    }


def interpreter(python: str) -> str | None:
    """The interpreter of that version, where pyenv has it or by its name; None where it does not run."""
    places = sorted((Path.home() / ".pyenv/versions").glob(f"{python}.*/bin/python"), reverse=True)
    for place in [*map(str, places), shutil.which(f"python{python}")]:
        if place and subprocess.run([place, "-c", "import venv"], capture_output=True).returncode == 0:
            return place
    return None


def made(python: str, folder: Path, pins: list[str]) -> str:
    """The interpreter of a fresh environment in ``folder`` with fastbp as a checkout, and what its tests need."""
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    own = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins))
    pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "setuptools>=77"], check=True)
    subprocess.run(
        [*pip, "--no-build-isolation", "--constraint", constraints, "--editable", f"{ROOT}[test]"],
        check=True,
        env=os.environ | {"FASTBP_MACHINE_CODE": "none"},
    )
    return own


def tried(name: str, folder: Path, arguments: list[str]) -> str:
    """Make an environment and run the tests in it; "passed", or what went wrong."""
    version, pins = environments()[name]
    python = interpreter(version)
    if python is None:
        return "left out: no such Python here"
    try:
        own = made(python, folder / name, pins)
    except subprocess.CalledProcessError as error:
        return f"FAILED to be made: {error.cmd[-1]} ended with {error.returncode}"
    own_cache = {"NUMBA_CACHE_DIR": str(folder / name / "cache"), "PYTHONPATH": str(ROOT)}
    command = [own, "-m", "pytest", *SHORT, *(OLD if pins else []), *arguments]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | own_cache)
    return "passed" if run.returncode == 0 else f"FAILED: pytest ended with {run.returncode}"


def main() -> int:
    """Try the environments that the command line names; without any, all."""
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    given, arguments = sys.argv[1:end], sys.argv[end + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", nargs="*", help="such as 3.10-oldest")
    parser.add_argument("--list", action="store_true", help="name them, with what they ask for, and stop")
    parser.add_argument("--folder", type=Path, help="where they are made, and kept")
    options = parser.parse_args(given)
    if options.list:
        for name, (_, pins) in environments().items():
            print(name, *pins)
        return 0
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="fastbp-matrix-"))).resolve()
    results = {}
    for name in options.environment or environments():
        print(f"== {name}", flush=True)
        results[name] = tried(name, folder, arguments)
    for name, result in results.items():
        print(f"{name:12}  {result}")
    return int(any("FAILED" in result for result in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
