"""A real notebook runs from beginning to end, and its cells show what a reader is to see."""

import base64
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
for package in ("ipykernel", "matplotlib", "sklearn"):
    pytest.importorskip(package)

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "digits.ipynb"


def executed(notebook):
    """The notebook with its outputs; an error in a cell is raised here."""
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook


@pytest.fixture(scope="module")
def shown():
    """What each cell of code shows: its source, and its outputs."""
    notebook = executed(nbformat.read(NOTEBOOK, as_version=4))
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def results(outputs):
    """The forms in which the last expression of a cell is shown, by MIME type."""
    return [output.data for output in outputs if output.output_type == "execute_result"]


def result(shown, end):
    """What the cell shows whose source has this ``end``."""
    (data,) = results(next(outputs for source, outputs in shown.items() if source.endswith(end)))
    return data


def size(png):
    """Width and height in pixels."""
    image = base64.b64decode(png)
    assert image.startswith(b"\x89PNG")
    return int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")


def test_the_notebook_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "wide"),
    [("history.plot()", 2), ("digits.t_test)", 1), ("fastbp.plot_weights(net)", 1)],
)
def test_a_picture_is_shown_as_the_last_expression_of_a_cell(call, wide, shown):
    (pictures,) = [
        data
        for source, outputs in shown.items()
        if source.endswith(call)
        for data in results(outputs)
        if "image/png" in data
    ]
    width, height = size(pictures["image/png"])
    assert 300 < height < 1000
    assert width > wide * height


@pytest.mark.slow
def test_nothing_but_the_progress_of_training_and_what_is_printed_goes_to_the_streams(shown):
    errors = [
        output.text
        for source, outputs in shown.items()
        for output in outputs
        if output.output_type == "stream" and output.name == "stderr" and "fit(" not in source
    ]
    assert errors == []
    (summary,) = shown["print(net.summary())"]
    assert summary.text.splitlines()[-1].split() == ["total", "float32", "3,760"]


@pytest.mark.slow
def test_the_network_learns_in_the_notebook(shown):
    assert float(result(shown, "net.accuracy(x_test, digits.t_test)")["text/plain"]) > 0.94
    assert "array([" in result(shown, "digits.t_test[:5]")["text/plain"]


@pytest.mark.slow
def test_a_picture_is_shown_once_where_pyplot_is_imported_too():
    cells = "import matplotlib.pyplot as plt\nimport fastbp", "fastbp.History(loss=[2.0, 1.0]).plot()"
    notebook = executed(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]))
    (output,) = notebook.cells[-1].outputs
    assert size(output.data["image/png"])[0] > 300


@pytest.mark.slow
def test_networks_histories_and_data_sets_are_shown_in_short(shown):
    for end in ("digits", "history", "net"):
        assert len(result(shown, end)["text/plain"]) < 500, end
    for end in ("history", "net"):
        assert "<table" in result(shown, end)["text/html"], end
