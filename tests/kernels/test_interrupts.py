"""Ctrl-C while kernels are compiled: heard soon, and without a trace afterwards."""

import os
import signal
import sys
import threading

import pytest
from calls import python, python_json

from fastbp.kernels._interrupts import uninterrupted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")


@pytest.fixture(autouse=True)
def handler():
    """Python's own handler, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def interrupt():
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupt()
        done.append("block")
    assert done == ["block"]


def test_of_blocks_within_each_other_it_waits_for_the_inner_one():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        with uninterrupted():
            interrupt()
            done.append("inner")
        done.append("outer")
    assert done == ["inner"]


def test_an_error_in_the_block_does_not_hide_the_interrupt():
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupt()
        raise ValueError


def test_a_handler_of_the_users_own_is_called_afterwards():
    called, done = [], []
    signal.signal(signal.SIGINT, lambda number, frame: called.append(number))
    with uninterrupted():
        interrupt()
        assert called == []
        done.append("block")
    assert called == [signal.SIGINT]
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("handler_set", [signal.SIG_IGN, signal.SIG_DFL])
def test_an_interrupt_that_python_does_not_handle_is_left_alone(handler_set):
    signal.signal(signal.SIGINT, handler_set)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) == handler_set
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_change_no_handler():
    found = []

    def work():
        with uninterrupted():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


# Where a function begins and ends to be compiled, and where LLVM calls Python with the machine code, which loses an
# exception: at one place after the other.
EVERYWHERE = """
import json, signal
import numpy as np
from numba.core import codegen, event

signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupter(event.Listener):
    left = None
    def on_start(self, event): self.count()
    def on_end(self, event): self.count()
    def count(self):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)

interrupter = Interrupter()
event.register("numba:compile", interrupter)
take_machine_code = codegen.JITCodeLibrary._object_compiled_hook

def interrupted(*arguments):
    interrupter.count()
    take_machine_code(*arguments)

codegen.JITCodeLibrary._object_compiled_hook = interrupted
from fastbp.kernels._jit import kernel  # the hook is taken while it is imported

def kernels():
    @kernel
    def half(x):
        return x * 0.5

    @kernel
    def _third(x):
        return half(x) / 1.5

    @kernel
    def both(x):
        total = 0.0
        for i in range(x.size):
            total += half(x[i]) + _third(x[i])
        return total
    return both

x, interrupts, others, wrong = np.arange(12.0), 0, [], []
for place in range(1, 50):
    function = kernels()
    interrupter.left = place
    try:
        function(x)
    except KeyboardInterrupt:
        interrupts += 1
    except BaseException as error:
        others.append(repr(error))
    unheard, interrupter.left = interrupter.left > 0, None
    if abs(function(x) - 55.0) > 1e-9:
        wrong.append(place)
    if unheard:
        break
print(json.dumps([interrupts, others, wrong]))
"""


def test_wherever_compiling_is_interrupted_it_is_one_interrupt_and_the_next_use_is_right(tmp_path):
    interrupts, others, wrong = python_json(EVERYWHERE, NUMBA_CACHE_DIR=tmp_path)
    assert others == []
    assert wrong == []
    assert interrupts > 5


COMMAND = """
import signal, sys
from numba.core import event
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupter(event.Listener):
    left = 3
    def on_start(self, event):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
    def on_end(self, event): ...

event.register("numba:compile", Interrupter())
from fastbp import cli
sys.stderr = sys.stdout
assert cli.main(["train", "--data", "digits", "--epochs", "1"]) == 130
"""


def test_the_command_ends_with_one_line(checkout, tmp_path):
    lines = python(COMMAND, root=checkout, NUMBA_CACHE_DIR=tmp_path).splitlines()
    assert lines[-1] == "fastbp: interrupted"
    assert not [line for line in lines if line.startswith(("Traceback", " ", "Exception"))]
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if ".tmp." in name]
