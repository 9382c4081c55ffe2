"""Who is measured, and how tables of ratios are told."""

from bench_runs import run_of

from fastbp.bench import table
from fastbp.bench.bench_calls import ROWS
from fastbp.bench.peers import FORMS, PEERS, providers


def test_what_needs_no_library_comes_first_and_every_form_has_a_colour_of_its_own():
    assert [peer.is_own for peer in PEERS] == sorted((peer.is_own for peer in PEERS), reverse=True)
    assert len({form.colour for form in FORMS.values()}) == len(FORMS)


def test_the_book_does_every_call_that_is_swept():
    assert {"fastbp", "book"} <= set(providers("call"))
    assert len({row.label for row in ROWS}) == len(ROWS) > 500


def test_a_grid_tells_the_ratios_the_worst_and_the_mean():
    seconds = {
        "call 1x1": {"fastbp": [1e-6] * 3, "book": [2e-6] * 3},
        "call 8x1": {"fastbp": [1e-6] * 3, "book": [0.5e-6] * 3},
        "call 8x10": {"fastbp": [1e-6] * 3, "book": [8e-6] * 3},
    }
    grids = {label: {"grid": ["Relu forward", *map(int, label[5:].split("x"))]} for label in seconds}
    lines = table.text(run_of(seconds, more=grids)).splitlines()
    (first,) = [n for n, line in enumerate(lines) if line.startswith("Relu forward")]
    assert [line.split() for line in lines[first : first + 3]] == [
        ["Relu", "forward", "1", "10"],
        ["1", "2.00"],
        ["8", "0.50<", "8.00"],
    ]
    assert lines[-1] == "call: geometric mean of 3 ratios 2.00, worst 0.50 (call 8x1); the peer takes less in 1."
    assert "fastbp takes least in 0 of 0 rows." in lines
