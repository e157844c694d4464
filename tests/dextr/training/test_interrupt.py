import os
import signal
import sys

import pytest

from dextr.training.interrupt import StopRequest


@pytest.fixture(autouse=True)
def own_handlers():
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    # Of what runs in the background of a shell, the shell has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered_the_second_interrupts_the_rest_change_nothing(number):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.made
        signal.raise_signal(number)
        assert stop.made
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        for _ in range(3):
            signal.raise_signal(number)
    signal.raise_signal(number)  # the program is on its way out
    assert signal.getsignal(number) == signal.SIG_IGN != before


def test_at_rest_one_signal_is_enough():
    with StopRequest() as stop:
        stop.at_rest = True
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_without_a_signal_all_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest():
        pass
    assert signal.getsignal(signal.SIGINT) == before


def test_a_worker_that_begins_is_not_interrupted():
    with StopRequest() as stop:
        stop.at_rest = True
        child = os.fork()
        if not child:
            signal.raise_signal(signal.SIGINT)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_pipe_that_nobody_reads_asks_to_stop_and_the_rest_goes_to_stderr(monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", buffering=1) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        stop = StopRequest()
        stop.say("one")
        assert stop.made
        stop.say("two")
    assert capsys.readouterr().err == "two\n"


def test_only_one_of_several_processes_speaks(capsys):
    StopRequest(speaks=False).say("one")
    StopRequest().say("two")
    assert capsys.readouterr().out == "two\n"
