"""What a prompt and a notebook show of a History, its state and a data set: little, however much there is."""

from html.parser import HTMLParser

import numpy as np
from fits import T, X, fitted, overfitting, small

import fastbp
from fastbp import datasets
from fastbp.optimizers import Adam


class Cells(HTMLParser):
    """The cells of a table, row by row; complains about what is not closed in its order."""

    def __init__(self, html):
        super().__init__()
        self.rows, self._open = [], []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] in (["td"], ["th"]):
            self.rows[-1].append(data)


def test_a_history_shows_its_length_and_its_last_epoch():
    history = fastbp.History(loss=[2.0, 0.51234], accuracy=[0.5, 0.75], seconds=[1.0, 1.25])
    assert repr(history) == "<History of 2 epochs: loss 0.5123, accuracy 0.75, seconds 1.25>"
    assert repr(fastbp.History()) == "<History of 0 epochs>"
    assert repr(fastbp.History(loss=[1.0])) == "<History of 1 epoch: loss 1>"


def test_the_history_of_a_long_run_is_short():
    net, validation = overfitting()
    _, history = fitted(net, epochs=60, validation_data=validation, patience=3, optimizer=Adam(lr=0.003))
    assert len(repr(history)) < 150
    assert repr(history).endswith(f"; best_epoch={history.best_epoch}>")
    assert len(repr(history.state)) < 250
    assert str(history.state.step) in repr(history.state)


def test_a_notebook_shows_a_table_of_some_epochs_the_best_among_them():
    history = fastbp.History(loss=(100 - np.arange(101.0)).tolist(), val_loss=[2.5] * 101, best_epoch=7)
    head, *rows = Cells(history._repr_html_()).rows
    assert head == ["epoch", "loss", "val_loss"]
    epochs = [int(row[0].split()[0]) for row in rows]
    assert epochs[0] == 1
    assert epochs[-1] == 101
    assert 10 < len(epochs) <= 22
    assert ["8 (best)", "93", "2.5"] in rows
    assert all(row[1] == f"{101 - epoch}" for row, epoch in zip(rows, epochs, strict=True))


def test_a_notebook_shows_lists_of_other_lengths():
    _, first = fitted(small(), epochs=2)
    _, history = fitted(small(), epochs=3, resume=first.state, validation_data=(X, T))
    rows = Cells(history._repr_html_()).rows
    assert len(rows) == 4
    assert Cells(fastbp.History()._repr_html_()).rows == [["epoch"]]


def test_a_network_is_a_table_with_as_many_rows_as_its_summary():
    net = fastbp.mlp([4, 7, 3], dropout=0.5, scale=0.5)
    table = [" ".join(line.split()) for line in net.summary().splitlines()]
    assert [" ".join(row) for row in Cells(net._repr_html_()).rows] == table


def test_a_data_set_shows_its_sizes():
    assert repr(datasets.digits()) == (
        "<Dataset 'digits': 1437 of 64 uint8 numbers to train on, 360 of 64 uint8 numbers to test with, scale 0.0625>"
    )
