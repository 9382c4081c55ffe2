"""What a model file says about its data, made with bad intent: one line, never a traceback."""

import copy
import json

import numpy as np
import pytest

import fastbp
from fastbp import cli

pytest.importorskip("polars")

TABLE = {
    "features": {
        "kind": "table",
        "columns": [{"name": "a", "mean": 1.0, "std": 2.0}, {"name": "b", "categories": ["x", "y"]}],
        "fill": False,
    },
    "targets": {"kind": "classes", "name": "c", "values": ["u", "v"], "binary": False},
}
ARRAY = {
    "features": {"kind": "array", "n_inputs": 3, "scale": 1.0, "mean": [1.0] * 3, "std": [2.0] * 3},
    "targets": {"kind": "numbers", "name": "t", "mean": [0.5, 0.5], "std": [2.0, 2.0]},
}
BEYOND_FLOATS = 10**400
COMMANDS = (["inspect"], ["predict", "--data"], ["evaluate", "--data"], ["export", "--format", "c"])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a,b,c\n1,x,u\n2,y,v\n")
    np.savez("data.npz", x=np.ones((4, 3)), t=np.ones((4, 2)))


@pytest.mark.parametrize("value", [BEYOND_FLOATS, -1, 0], ids=["beyond floats", "below 0", "0"])
@pytest.mark.parametrize(
    ("description", "path"),
    [
        (TABLE, ("features", "columns", 0, "std")),
        (ARRAY, ("features", "std", 1)),
        (ARRAY, ("targets", "std", 0)),
    ],
    ids=["table", "array", "target"],
)
def test_deviations_that_cannot_be_divided_by(description, path, value, capsys):
    check(description, path, value, capsys)


@pytest.mark.parametrize(
    ("description", "path"),
    [
        (TABLE, ("features", "columns", 0, "mean")),
        (ARRAY, ("features", "scale")),
        (ARRAY, ("features", "mean", 0)),
        (ARRAY, ("targets", "mean", 0)),
        (ARRAY, ("features", "n_inputs")),
    ],
)
def test_numbers_beyond_floats(description, path, capsys):
    check(description, path, BEYOND_FLOATS, capsys)


def check(description, path, value, capsys):
    """That each command says in one line that ``value`` at ``path`` of a description is nothing to compute with."""
    changed = copy.deepcopy(description)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    fastbp.mlp([3, 4, 2], loss=None if description is TABLE else fastbp.MeanSquaredError()).save(
        "m", extra={"data": json.loads(json.dumps(changed))}
    )
    data = "data.csv" if description is TABLE else "data.npz"
    for command, *more in COMMANDS:
        options = [*more, data] if "--data" in more else more
        target = ["--target", "c"] if command == "evaluate" and description is TABLE else []
        assert cli.main([command, "m", *options, *target]) == 1
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("fastbp: m: what it says about data is not what fastbp train writes: ")
        assert errors.count("\n") == 1
