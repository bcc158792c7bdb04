"""Work beside the engine: in its order, so many at once, bounded, and ended with an error where it may not go on."""

import threading
import time

import pytest

from puna.errors import ServeError
from puna.serve.desk import Desk


def test_order_and_how_many_at_once() -> None:
    desk, gate, begun = Desk(2, 10), threading.Event(), []

    def work(number: int):
        def run(wanted):
            begun.append(number)
            gate.wait()
            return number

        return run

    tasks = [desk.submit(work(n)) for n in range(6)]
    while len(begun) < 2:
        time.sleep(0.001)
    assert begun == [0, 1]
    gate.set()
    assert [task.future.result() for task in tasks] == list(range(6))
    assert begun == sorted(begun)
    desk.finish(time.monotonic() + 60)
    assert desk._threads == 0


def test_too_much_and_too_late() -> None:
    desk, gate = Desk(1, 2), threading.Event()
    held = desk.submit(lambda wanted: gate.wait())
    while not desk._running:
        time.sleep(0.001)
    waiting = [desk.submit(lambda wanted: 1) for _ in range(2)]
    with pytest.raises(ServeError) as error:
        desk.submit(lambda wanted: 1)
    assert (error.value.code, error.value.parameters["waiting"]) == ("E-SERVE-BUSY", 2)
    desk.close()
    with pytest.raises(ServeError) as error:
        desk.submit(lambda wanted: 1)
    assert error.value.code == "E-SERVE-STOPPING"
    gate.set()
    assert [task.future.result() for task in (held, *waiting)] == [True, 1, 1]


def test_what_is_left_at_the_end_is_told() -> None:
    desk, gate, wants = Desk(1, 5), threading.Event(), []

    def stubborn(wanted):
        gate.wait()
        wants.append(wanted())

    left = [desk.submit(stubborn), desk.submit(lambda wanted: wants.append("never"))]
    while not desk._running:
        time.sleep(0.001)
    desk.finish(time.monotonic())
    for task in left:
        with pytest.raises(ServeError) as error:
            task.future.result()
        assert error.value.code == "E-SERVE-STOPPED"
    gate.set()
    while desk._threads:
        time.sleep(0.001)
    assert wants == [False]


def test_what_fails_fails_alone_and_what_nobody_wants_is_not_begun() -> None:
    desk, gate, done = Desk(1, 5), threading.Event(), []
    desk.submit(lambda wanted: gate.wait())
    bad = desk.submit(lambda wanted: 1 / 0)
    gone = desk.submit(lambda wanted: done.append(1))
    good = desk.submit(lambda wanted: "good")
    gone.drop()
    gate.set()
    assert isinstance(bad.future.exception(), ZeroDivisionError)
    assert good.future.result() == "good"
    assert done == []
