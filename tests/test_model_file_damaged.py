"""Model files that are cut short, changed, foreign, oversized or made with bad intent."""

import hashlib
import json
import os
import re
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbp
from fastbp.files._tensor_file import LONGEST_HEADER

FEW = 1 << 19  # bytes that Python takes however small a file is


def network(seed=0):
    return fastbp.Sequential(
        [
            fastbp.Affine(np.random.default_rng(seed).standard_normal((3, 2)).astype(np.float32), np.zeros(2, "f4")),
            fastbp.LeakyRelu(0.1),
            fastbp.Dropout(0.5, seed=1),
            fastbp.Affine(np.ones((2, 2), np.float32), None),
        ]
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a file with a state and something extra."""
    path = tmp_path_factory.mktemp("whole") / "m"
    net = network()
    state = net.fit(np.eye(3, dtype=np.float32), [0, 1, 0], seed=0, optimizer="adam", progress=False).state
    net.save(path, state=state, extra={"classes": ["a", "b"]})
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m"


def parts(data):
    """The header, its description, and the bytes of the tensors."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["fastbp"]), data[8 + length :]


def made(header, tensors=b""):
    """A file with this header (a dict or its text) and these bytes, its checksum made right."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = bytearray(struct.pack("<Q", len(text)) + text + tensors)
    found = re.search(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"', data)
    if found:
        begin, end = found.span(1)
        data[begin:end] = b"0" * 64
        data[begin:end] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def changed(data, change):
    """The file with its description and the table of its tensors as ``change`` leaves them, its checksum made right."""
    header, description, tensors = parts(data)
    change(description, header)
    return made(header | {"__metadata__": {"fastbp": json.dumps(description)}}, tensors)


def test_a_file_made_here_without_a_change_loads(whole, path):
    path.write_bytes(changed(whole, lambda description, table: None))
    checkpoint = fastbp.load_checkpoint(path)
    assert (checkpoint.net.params["W1"] != 0).all()
    assert checkpoint.state.step == 1


# ---- Cut short, changed by accident ----


def test_every_cut_is_found(whole, path):
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(fastbp.ModelFileError):
            fastbp.load(path)


def test_every_changed_byte_is_found(whole, path):
    for at in range(len(whole)):
        for flip in (1, 0x20, 0x80):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            with pytest.raises(fastbp.ModelFileError):
                fastbp.load(path)


@given(data=st.data())
def test_no_splice_is_taken_for_a_model(whole, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("splice") / "m"
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    spliced = whole[:begin] + data.draw(st.binary(max_size=40)) + whole[end:]
    path.write_bytes(spliced)
    if spliced != whole:
        with pytest.raises(fastbp.ModelFileError):
            fastbp.load(path)


def test_the_message_names_the_file_and_says_what_is_wrong(whole, path):
    for data, message in [
        (b"", "no model file but empty; a model is what net.save or fastbp train --save writes"),
        (whole[:100], r"no model file, or cut short: a header of \d+ bytes in a file of 100"),
        (whole[:-1], r"cut short or too long: the tensors take \d+ bytes, the file has \d+ for them"),
        (whole + b"x", r"cut short or too long: the tensors take \d+ bytes, the file has \d+ for them"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "changed or damaged: the content does not fit its checksum"),
    ]:
        path.write_bytes(data)
        with pytest.raises(fastbp.ModelFileError, match=f"^{path}: {message}$"):
            fastbp.load(path)


# ---- Made with intent: the checksum fits ----


def layer(n, **changes):
    return lambda d, table: d["layers"][n].update(changes)


def entry(name, **changes):
    return lambda d, table: table[name].update(changes)


def top(**changes):
    return lambda d, table: d.update(changes)


def state(**changes):
    return lambda d, table: d["state"].update(changes)


def swapped(d, table):
    table["W1"], table["state.history.loss"] = table["state.history.loss"], table["W1"]


def renamed(d, table):
    table["W9"] = table.pop("W1")


def overlapping(d, table):
    table["W2"]["data_offsets"] = [table["W1"]["data_offsets"][0], table["W1"]["data_offsets"][0] + 16]


def surplus(d, table):
    table["b2"] = table["W1"] | {"shape": [0], "data_offsets": table["W1"]["data_offsets"][:1] * 2}


def history_of_more(d, table):
    table["state.history.more"] = table.pop("state.history.loss")


MADE = {
    "a later version": (top(version=2), "written in version 2 of the format; this fastbp reads version 1"),
    "no version": (lambda d, table: d.pop("version"), "written in version None"),
    "True for a version": (top(version=True), "written in version True"),
    "no checksum": (lambda d, table: d.pop("sha256"), "the checksum is missing"),
    "half a checksum": (top(sha256="00"), "the checksum is missing"),
    "an unknown layer": (layer(1, **{"class": "System"}), "none of Affine, BatchNormalization"),
    "a layer that is a list": (lambda d, table: d["layers"].__setitem__(0, []), "none of Affine, BatchNormalization"),
    "a class that is a list": (layer(1, **{"class": []}), "none of Affine, BatchNormalization"),
    "a loss for a layer": (layer(1, **{"class": "MeanSquaredError"}), "none of Affine, BatchNormalization"),
    "a layer for a loss": (top(loss={"class": "Relu"}), "none of SoftmaxWithLoss"),
    "an argument too many": (layer(1, more=1), r"LeakyRelu takes \['slope'\]"),
    "an argument too few": (lambda d, table: d["layers"][1].pop("slope"), r"LeakyRelu takes \['slope'\]"),
    "text for a number": (layer(1, slope="0.1"), "slope must be a finite number, got '0.1'"),
    "True for a number": (layer(2, p=True), "p must be a finite number in 0..1, got True"),
    "null for a number": (layer(1, slope=None), "slope must be a finite number, got None"),
    "a list for a number": (layer(1, slope=[3]), r"slope must be a number, got \[3\]"),
    "an object for a number": (layer(1, slope={}), r"slope of LeakyRelu is \{\}"),
    "a number too large": (layer(1, slope=10**400), "slope of LeakyRelu is 1000"),
    "a probability of 2": (layer(2, p=2.0), r"p must be a finite number in 0\.\.1, got 2\.0"),
    "a seed of 2^63": (layer(2, seed=2**63), "seed of Dropout is 9223372036854775808"),
    "a list for a loss's number": (lambda d, table: d["loss"].update(eps=[1]), "eps must be a number"),
    "a number for weights": (layer(0, W=3.0), r"W of Affine must be the shape of an array, got 3\.0"),
    "a number for a bias": (layer(0, b=0.5), r"b of Affine must be the shape of an array, got 0\.5"),
    "no weights": (layer(0, W=None), "must hold real numbers|tensors of no layer"),
    "another shape": (layer(0, W=[2, 3]), r"W1 must be float32 of shape \(2, 3\), got float32 of shape \(3, 2\)"),
    "a bias of weights' shape": (layer(0, b=[3, 2]), r"b1 must be float32 of shape \(3, 2\)"),
    "an empty layer": (layer(3, W=[0, 10**18]), r"W2 must not be empty"),
    "layers that do not fit": (
        lambda d, table: (d["layers"][3].update(W=[4, 1]), table["W2"].update(shape=[4, 1])),
        "Affine2: W of shape .4, 1. does not fit the 2 outputs",
    ),
    "no layers": (top(layers=[]), "tensors of no layer|at least one Affine"),
    "layers that are text": (top(layers="Affine"), "must be a list"),
    "another dtype": (top(dtype="float64"), "W1 must be float64"),
    "an unknown dtype": (top(dtype="object"), "dtype is 'object'"),
    "a dtype that is a list": (top(dtype=[]), r"dtype is \[\]"),
    "extra that is a list": (top(extra=[]), "must be a list and an object"),
    "an entry too many": (top(more=1), "the description has more, .* of a newer version"),
    "a scale of 0": (top(scale=0), "scale must be a finite number above 0, got 0"),
    "a scale that is text": (top(scale="1"), "scale must be a finite number above 0, got '1'"),
    "a scale too large": (top(scale=10**400), "scale must be a finite number above 0"),
    "more in the state": (state(more=1), "state has more, .* of a newer version"),
    "a history of more": (history_of_more, "tensors of no layer: state.history.more, .* of a newer version"),
    "an entry too few": (lambda d, table: d.pop("loss"), "the description must have .*, it lacks loss"),
    "a state that is a list": (top(state=[]), "state must have step"),
    "a state without a step": (lambda d, table: d["state"].pop("step"), "state must have step"),
    "a step below 0": (state(step=-1), "step of state is -1"),
    "a step that is a float": (state(step=1.0), "step of state is 1.0"),
    "a step of 2^63": (state(step=1 << 63), "step of state is 9223372036854775808"),
    "batches of 0": (state(batch_size=0), "batches of 0 of 3 samples"),
    "batches too large": (state(batch_size=4), "batches of 4 of 3 samples"),
    "tensors without their state": (top(state=None), "tensors of no layer: state"),
    "tensors swapped": (swapped, "W1 must be float32 of shape"),
    "a tensor under another name": (renamed, "'W1' is missing"),
    "tensors that overlap": (overlapping, "overlap or leave a gap"),
    "a tensor of no layer": (surplus, "tensors of no layer: b2"),
    "offsets turned round": (entry("W1", data_offsets=[24, 0]), "does not fit its offsets"),
    "offsets below 0": (entry("W1", data_offsets=[-24, 0]), "must be two sizes"),
    "offsets past the end": (entry("W1", data_offsets=[10**9, 10**9 + 24]), "overlap or leave a gap"),
    "three offsets": (entry("W1", data_offsets=[0, 24, 24]), "must be two sizes"),
    "offsets that are floats": (entry("W1", data_offsets=[0.0, 24.0]), "must be two sizes"),
    "an absurd shape": (entry("W1", shape=[1 << 62, 1 << 62]), "does not fit its offsets"),
    "a shape that overflows to fit": (entry("W1", shape=[6, (1 << 62) + 1]), "does not fit its offsets"),
    "five dimensions": (entry("W1", shape=[1, 1, 1, 3, 2]), "at most four sizes"),
    "a size of 2^63": (entry("W1", shape=[1 << 63, 2]), "at most four sizes"),
    "a shape below 0": (entry("W1", shape=[-3, -2]), "at most four sizes"),
    "a shape that is a number": (entry("W1", shape=6), "at most four sizes"),
    "a dtype of another size": (entry("W1", dtype="F64"), "does not fit its offsets"),
    "integers": (entry("W1", dtype="I32"), "must be of F32 or F64"),
    "a dtype of the table that is a list": (entry("W1", dtype=["F32"]), "must be of F32 or F64"),
    "more in the table": (entry("W1", more=1), "the entry of 'W1'"),
    "a table of numbers": (lambda d, table: table.update(W1=3), "the entry of 'W1' is 3"),
}


@pytest.mark.parametrize("name", MADE)
def test_a_made_file_is_refused(whole, path, name):
    change, message = MADE[name]
    path.write_bytes(changed(whole, change))
    assert peak_of_refusing(path, message) < FEW


NUMBER = 987654321  # in whose place one comes that is not finite
NOT_FINITE = {
    "a size of a tensor": entry("W1", shape=[NUMBER, 2]),
    "an offset of a tensor": entry("W1", data_offsets=[0, NUMBER]),
    "a size of weights": layer(0, W=[NUMBER, 2]),
    "an argument of a layer": layer(1, slope=NUMBER),
    "an argument of the loss": lambda d, table: d["loss"].update(eps=NUMBER),
    "the scale": top(scale=NUMBER),
    "a size of samples": top(in_shape=[NUMBER]),
    "a step": state(step=NUMBER),
    "the version": top(version=NUMBER),
}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("name", NOT_FINITE)
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands_in_a_header(whole, path, name, number):
    data = changed(whole, NOT_FINITE[name])
    text = data[8 : 8 + int.from_bytes(data[:8], "little")].replace(str(NUMBER).encode(), number.encode())
    assert number.encode() in text
    path.write_bytes(made(text, parts(whole)[2]))
    assert peak_of_refusing(path, "inf" if number == "1e999" else f"{number} is no number") < FEW


HEADERS = {
    "no JSON": (b"x" * 100, "the header is no JSON"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "the header is no JSON"),
    "not UTF-8": (b'{"a":"\xff"}', "the header is no JSON"),
    "a list": (b"[]", "the header is no JSON object"),
    "a name twice": (b'{"a":1,"a":1}', "a name occurs twice"),
    "NaN": (b'{"a":NaN}', "NaN is no number"),
    "deep": (b"[" * 100_000, "the header is no JSON"),
    "deep in objects": (b'{"a":' * 20_000, "the header is no JSON"),
    "wide": (b"[" + b"[]," * 40_000 + b"[]]", "the header is no JSON object"),
    "a long number": (b'{"a":' + b"1" * 100_000 + b"}", "the header is no JSON"),
    "no metadata": (b"{}", "no model file of fastbp"),
    "metadata of others": (b'{"__metadata__":{"format":"pt"}}', "no model file of fastbp"),
    "metadata that are a list": (b'{"__metadata__":["fastbp"]}', "no model file of fastbp"),
    "a description that is a number": (b'{"__metadata__":{"fastbp":1}}', "no model file of fastbp"),
    "a description that is no JSON": (b'{"__metadata__":{"fastbp":"x"}}', "the description is no JSON"),
    "a description that is a list": (b'{"__metadata__":{"fastbp":"[]"}}', "the description is no JSON object"),
    "a deep description": (json.dumps({"__metadata__": {"fastbp": "[" * 50_000}}).encode(), "description is no JSON"),
    "a description with a name twice": (
        json.dumps({"__metadata__": {"fastbp": '{"version":1,"version":1}'}}).encode(),
        "a name occurs twice",
    ),
    "too long": (b" " * (LONGEST_HEADER + LONGEST_HEADER // 32), "the header is too long"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_made_header_is_refused(path, name):
    header, message = HEADERS[name]
    path.write_bytes(made(header))
    assert peak_of_refusing(path, message) < 40 * LONGEST_HEADER


def test_a_pickle_is_refused_and_not_run(path):
    path.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(fastbp.ModelFileError, match="no model file"):
        fastbp.load(path)
    assert os.listdir(path.parent) == ["m"]


@given(data=st.data())
def test_any_change_of_the_description_with_a_fitting_checksum_loads_or_is_refused(whole, tmp_path_factory, data):
    header, description, tensors = parts(whole)
    json_values = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    )

    def change(value):
        if isinstance(value, dict) and value and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(value)))
            return value | {name: change(value[name])}
        if isinstance(value, list) and value and data.draw(st.booleans()):
            n = data.draw(st.integers(0, len(value) - 1))
            return [*value[:n], change(value[n]), *value[n + 1 :]]
        return data.draw(json_values)

    sha = description["sha256"]
    if data.draw(st.booleans()):
        description = change(description)
    else:
        header = change(header)
    if isinstance(header, dict) and isinstance(description, dict):
        description = {"sha256": sha} | description
        header["__metadata__"] = {"fastbp": json.dumps(description)}
    path = tmp_path_factory.mktemp("change") / "m"
    path.write_bytes(made(header, tensors))
    try:
        net = fastbp.load(path)
    except fastbp.ModelFileError:
        return
    assert net.predict(np.ones((1, 3), np.float32)).shape == (1, 2)


# ---- Memory ----


def peak_of(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def peak_of_refusing(path, message):
    def refused():
        with pytest.raises(fastbp.ModelFileError, match=message):
            fastbp.load(path)

    return peak_of(refused)


def test_loading_takes_at_most_twice_the_files_size(path):
    net = fastbp.mlp([1000, 1000, 10], seed=0)
    net.save(path)
    size = path.stat().st_size
    fastbp.load(path)  # once before, so that nothing is imported or compiled while it counts
    assert size < peak_of(lambda: fastbp.load(path)) < 2 * size + FEW
    state = net.fit(np.ones((2, 1000), np.float32), [0, 1], optimizer="adam", progress=False).state
    net.save(path, state=state)
    size = path.stat().st_size
    assert size < peak_of(lambda: fastbp.load_checkpoint(path)) < 2 * size + FEW


@pytest.mark.parametrize("length", [1 << 40, (1 << 64) - 1, 1 << 29])
def test_a_header_said_to_be_longer_than_the_file_is_not_made_room_for(path, length):
    path.write_bytes(struct.pack("<Q", length) + b"{}" * 100)
    assert peak_of_refusing(path, "no model file, or cut short") < FEW


def test_of_a_large_foreign_file_only_the_header_is_read(path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1 << 34], "data_offsets": [0, 1 << 36]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with path.open("r+b") as file:
        file.truncate(8 + len(header) + (1 << 36))  # 64 GiB of nothing, which take no room on the disk
    assert peak_of_refusing(path, "no model file of fastbp") < FEW


def test_devices_without_end_are_refused():
    with pytest.raises(OSError, match="not a regular file: '/dev/zero'"):
        fastbp.load("/dev/zero")
