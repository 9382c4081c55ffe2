"""The report of a benchmark run: its page, its plots, what it says of growth curves, and the README's table."""

import itertools
import json
import re

import pytest
from bench_runs import made_run, run_of

from fastbp import cli
from fastbp.bench import readme

pytest.importorskip("matplotlib")

from fastbp.bench import curves, page, plots

FIXED, PER_FLOP = 1e-5, 1e-11  # seconds: a step of 1e6 flops has as much of the one as of the other
PLACES = (1, 10, 100, 1000)


def growth():
    """Rows of a curve whose time is FIXED + PER_FLOP flops, with flops = 1e5 places; half as fast for NumPy."""
    seconds = {f"growth by batch {n}": FIXED + PER_FLOP * 1e5 * n for n in PLACES}
    return (
        {label: {"fastbp": [t], "numpy": [2 * t]} for label, t in seconds.items()},
        {f"growth by batch {n}": {"flops": 1e5 * n, "place": n, "working_set": 500.0 * n} for n in PLACES},
    )


@pytest.fixture(scope="module")
def run():
    curve, more = growth()
    names = ["100x784x50", "1024x1024x1024", "32x64x64"]
    gemm = {
        f"gemm {name}": {"fastbp": [1e-6 * i, 1.1e-6 * i], "numpy": [6e-6, 6e-6]} for i, name in enumerate(names, 1)
    }
    gemm["gemm 32x64x64"]["torch"] = [1e-6, 1e-6]
    arithmetic = {"flops": 1e5, "bytes": 1e4, "gflops": 90.0, "share_of_limit": 0.9}
    return run_of(
        {**gemm, **curve},
        absent=[("gemm 100x784x50", "torch", "not installed", False)],
        more={**more, **dict.fromkeys(gemm, arithmetic)},
    )


# ---- the page ------------------------------------------------------------------------------------------


def test_the_page_is_one_file_with_its_plots_inside(run, tmp_path):
    text = page.write(run, tmp_path / "new folder").read_text()
    assert text.count("<svg") == text.count("</svg>") == 3, "roofline, matrix products, growth"
    assert not re.search(r"<(img|script|link)|url\(http|@import", text)


def test_plots_are_files_too(run, tmp_path):
    page.write(run, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "index.html",
        *(f"{name}.{kind}" for name in ("roofline-1", "gemm", "growth-by-batch") for kind in ("svg", "png")),
    }
    assert (tmp_path / "gemm.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "gemm.svg").read_text()


def test_the_page_marks_the_peers_that_take_less_and_tells_of_those_that_are_missing(run, tmp_path):
    text = page.write(run, tmp_path).read_text()
    less = re.findall(r'<tr class="less">.*?</tr>', text)
    assert len(less) == 1
    assert "<td>torch</td>" in less[0]
    assert re.search(r'<tr class="absent">.*torch.*not installed', text)


def test_the_command_writes_the_page(tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(made_run({"gemm big": {"fastbp": [1e-6], "numpy": [2e-6]}})))
    assert cli.main(["bench", "--results", str(path), "--report", str(tmp_path / "report")]) == 0
    assert f"report: {tmp_path / 'report' / 'index.html'}" in capsys.readouterr().out
    assert (tmp_path / "report" / "gemm.svg").exists()


# ---- the plots -----------------------------------------------------------------------------------------


def figures(run):
    gemm = run.of("gemm")
    batch = run.of("growth by batch")
    return [plots.ratios(gemm, "products"), plots.roofline(run, 1), plots.growth(batch, "growth by batch")]


def test_no_labels_overlap(run):
    for figure in figures(run):
        figure.draw_without_rendering()
        (axes,) = figure.axes
        for axis in (axes.xaxis, axes.yaxis):
            labels = [label for label in axis.get_ticklabels() if label.get_text() and label.get_visible()]
            low, high = sorted(axis.get_view_interval())
            places = [t for t in axis.get_majorticklocs() if low <= t <= high]
            assert len(places) >= 2
            boxes = [label.get_window_extent() for label in labels]
            for a, b in itertools.pairwise(boxes):
                assert not a.overlaps(b)


def test_the_ratio_plot_has_a_point_for_each_peer_of_each_row(run):
    (axes,) = plots.ratios(run.of("gemm"), "products").axes
    drawn = {
        line.get_label(): len(line.get_xdata()) for line in axes.get_lines() if not line.get_label().startswith("_")
    }
    assert drawn == {"numpy": 3, "torch": 1}


# ---- the knees -----------------------------------------------------------------------------------------


def test_the_fixed_part_of_a_curve_is_found(run):
    one = curves.curve(run.of("growth by batch"), "fastbp")
    assert one.fit == pytest.approx((FIXED, PER_FLOP), rel=1e-9)
    assert one.knee == pytest.approx(10)


def test_a_curve_without_a_fixed_part_has_no_knee():
    more = growth()[1]
    seconds = {label: {"fastbp": [PER_FLOP * info["flops"]]} for label, info in more.items()}
    one = curves.curve(run_of(seconds, more=more).of("growth by batch"), "fastbp")
    assert one.fit == pytest.approx((0, PER_FLOP), abs=1e-18)
    assert one.knee is None


def test_the_explanation_names_the_fixed_part_and_the_caches_outgrown(run):
    lines = curves.explanation(run, run.of("growth by batch"))
    assert lines[0] == "fastbp: 10 us of a step are fixed, half of the time at 10; best at 1,000, 99 GFLOP/s."
    assert lines[1].startswith("numpy: 20 us of a step are fixed")
    assert any(re.match(r"Between 1 and 10 the working set outgrows L1 \(1000 B\)", line) for line in lines)
    assert any(line.startswith("Between 100 and 1,000 the working set outgrows L2") for line in lines)


def test_two_rows_are_no_curve(run):
    assert curves.curve(run.of("growth by batch")[:2], "fastbp") is None


# ---- the README ----------------------------------------------------------------------------------------


def test_the_table_replaces_what_stands_between_the_marks_and_nothing_else(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    run = run_of({"step 4-2": {"fastbp": [2e-6], "numpy": [3e-6], "torch": [1e-6]}, "gemm big": {"fastbp": [1.0]}})
    readme.write(run, file)
    lines = file.read_text().splitlines()
    assert lines[:3] == ["before", readme.BEGIN, "Some CPU, 2 cores; Python 3.11, fastbp 0, numpy 2."]
    assert lines[-2:] == [readme.END, "after"]
    assert lines[-3] == "| step: 4-2 | 1 | 2 us |  | 3 us (1.50) | **1 us (0.50)** |"
    once = file.read_text()
    readme.write(run, file)
    assert file.read_text() == once


def test_a_row_that_fastbp_has_no_figure_of_is_left_out():
    written = readme.text(run_of({"step 4-2": {"numpy": [1.0]}, "step 8-2": {"fastbp": [1.0], "numpy": [2.0]}}))
    assert "4-2" not in written
    assert written.splitlines()[-1] == "| step: 8-2 | 1 | 1 s |  | 2 s (2.00) |"


def test_a_file_without_marks_is_left_alone(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("text\n")
    with pytest.raises(readme.NoMarks, match="must hold the lines"):
        readme.write(run_of({"step 4-2": {"fastbp": [1.0]}}), file)
    assert file.read_text() == "text\n"


def test_the_command_writes_the_readmes_table_or_says_what_is_lacking(tmp_path, capsys):
    run, file = tmp_path / "run.json", tmp_path / "README.md"
    run.write_text(json.dumps(made_run({"step 4-2": {"fastbp": [1.0]}})))
    command = ["bench", "--results", str(run), "--readme", str(file)]
    file.write_text(f"{readme.BEGIN}\n{readme.END}\n")
    assert cli.main(command) == 0
    assert "| step: 4-2 |" in file.read_text()
    file.write_text("text\n")
    assert cli.main(command) == 1
    assert f"README.md must hold the lines {readme.BEGIN} and {readme.END}" in capsys.readouterr().err
