"""The sweep of drawn products: what is drawn, and what is said of it; nothing is timed."""

from itertools import islice

from fastbp.bench.laboratory import Outcome
from fastbp.bench.peers import providers
from fastbp.bench.sweep_gemm import LARGEST, MOST_ELEMENTS, MOST_WORK, SHAPES, Timed, drawn, summary, timed


def test_the_same_shapes_at_every_run_and_none_too_large():
    rows = list(islice(drawn(), SHAPES))
    assert [row.label for row in rows] == [row.label for row in islice(drawn(), SHAPES)]
    assert {row.arguments[0] for row in rows} == {"x W", "x.T dout", "dout W.T"}
    assert {row.dtype for row in rows} == {"float32", "float64"}
    for row in rows:
        n, i, o = row.arguments[1]
        assert 1 <= min(n, i, o) <= max(n, i, o) <= LARGEST
        assert n * i * o <= MOST_WORK
        assert max(n * i, i * o, n * o) <= MOST_ELEMENTS


def test_the_worst_product_that_counts_is_named():
    found = [
        Timed("tiny", 64**3, {"numpy": 0.2, "jax": 3.0}),
        Timed("slow", 64**3 + 1, {"numpy": 1.5, "jax": 0.9}),
        Timed("fast", 10**9, {"numpy": 2.0}),
    ]
    assert summary(found).splitlines() == [
        "3 products, 2 of them above 64^3: a peer takes less in 1 of these, and in 1 of the smaller ones.",
        f"Worst above 64^3: {found[1]}",
    ]


def test_a_sweep_without_peers_says_nothing_of_ratios():
    assert "takes less in 0" in summary([Timed("alone", 1, {})])


def test_who_did_not_answer_is_said_with_the_reason():
    found = [
        Timed("first", 10**6, {"numpy": 2.0}, {"jax": "not installed", "torch": "no such form"}),
        Timed("second", 10**6, {"numpy": 2.0, "torch": 3.0}, {"jax": "not installed"}),
    ]
    assert summary(found).splitlines()[-2:] == [
        "No answer from jax in 2 of them: not installed",
        "No answer from torch in 1 of them: no such form",
    ]


def test_all_who_do_products_are_asked():
    asked = {}

    class Asking:
        def measure(self, row, makers, expected):
            asked.update(makers)
            return {name: Outcome(seconds=[2.0 if name == "fastbp" else 3.0]) for name in makers}

    product = timed(Asking(), next(drawn()))
    assert {"fastbp", "numpy", "torch", "jax"} <= set(asked) == set(providers("gemm"))
    assert product.ratios == dict.fromkeys(set(asked) - {"fastbp"}, 1.5)
