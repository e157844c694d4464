"""Objects through a network, while processes beside it prepare the next and judge the last ones.

A worker prepares a whole batch in shared memory, the network's logits are put beside it, and the
same worker judges them. So images and masks never leave the worker that read them, and the process
that feeds the network moves nothing but tensors.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.heap import BufferWrapper
from typing import Any, Generic, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.common.processes import leave_signals_to_parent
from dextr.predictor import Predictor

Kept = TypeVar("Kept")
Out = TypeVar("Out", covariant=True)

BLOCKS = 2
CHANNELS = 4
PARENT_CHECK_SECONDS = 5


class Work(Protocol[Kept, Out]):
    """What is done with an object before and after the network; it travels to the workers."""

    def prepare(self, row: int, /) -> tuple[Kept, NDArray[np.float32]]:
        """Return what `judge` needs of an object, and the network's input (4, S, S)."""

    def judge(self, kept: Kept, logits: NDArray[np.float32], /) -> Out:
        """Return the result for an object from its logits (S, S)."""


def run_through(
    work: Work[Any, Out], rows: Sequence[int], predictor: Predictor, workers: int
) -> Iterator[Out]:
    """Yield the result for each row, in order; the same for any number of workers.

    Args:
        work: What is done with each object.
        rows: Which objects.
        predictor: Runs the network; its batches are neighbours in `rows`.
        workers: Processes; 0 does everything here, one thing after the other. Each holds two
            batches in shared memory, 5 S^2 float32 values per object.
    """
    size = predictor.batch_size
    batches = [rows[k : k + size] for k in range(0, len(rows), size)]
    if workers == 0:
        for batch in batches:
            kept, inputs = zip(*map(work.prepare, batch), strict=True)
            yield from map(work.judge, kept, predictor.logits(np.stack(inputs)))
        return
    pool: list[_Worker[Out]] = []
    try:
        for number in range(min(workers, len(batches))):
            pool.append(_Worker(work, size, predictor.size))
            pool[number].prepare(0, batches[number])
        yield from _conduct(pool, batches, predictor)
    finally:
        for worker in pool:
            worker.close()


def _conduct(
    pool: list[_Worker[Out]], batches: list[Sequence[int]], predictor: Predictor
) -> Iterator[Out]:
    """Deal the batches out in turn, as many ahead as there are blocks, and run the network."""
    ahead = BLOCKS * len(pool)
    # A GPU gets the next batch before the last one's logits are waited for.
    together = 2 if predictor.device.type == "cuda" else 1

    def place(number: int) -> tuple[_Worker[Out], int]:
        return pool[number % len(pool)], number // len(pool) % BLOCKS

    def prepare(number: int) -> None:
        if number < len(batches):
            worker, block = place(number)
            worker.prepare(block, batches[number])

    def judge(number: int, logits: Callable[[], NDArray[np.float32]]) -> None:
        worker, block = place(number)
        worker.blocks[block].logits[: len(batches[number])] = logits()
        worker.judge(block)
        prepare(number + ahead)

    for number in range(len(pool), ahead):
        prepare(number)
    running: list[Callable[[], NDArray[np.float32]]] = []
    for number, batch in enumerate(batches):
        worker, block = place(number)
        if number >= ahead:
            yield from worker.receive()
        worker.receive()
        running.append(predictor.start(worker.blocks[block].inputs[: len(batch)]))
        if len(running) == together:
            judge(number + 1 - together, running.pop(0))
    for logits in running:
        judge(len(batches) - 1, logits)
    for number in range(max(0, len(batches) - ahead), len(batches)):
        yield from place(number)[0].receive()


class _Block:
    """Memory for one batch that two processes see.

    Attributes:
        inputs: (N, 4, S, S).
        logits: (N, S, S).
    """

    def __init__(self, memory: BufferWrapper, batch_size: int, size: int) -> None:
        self._memory = memory  # goes to the next taker when nobody holds it
        values = np.frombuffer(memory.create_memoryview(), np.float32)
        start = batch_size * CHANNELS * size * size
        self.inputs = values[:start].reshape(batch_size, CHANNELS, size, size)
        self.logits = values[start:].reshape(batch_size, size, size)


class _Worker(Generic[Out]):
    """A worker process as its owner sees it."""

    def __init__(self, work: Work[Any, Out], batch_size: int, size: int) -> None:
        context = multiprocessing.get_context()
        # What RawArray is made of; that would first write zeros to all of it.
        length = 4 * batch_size * (CHANNELS + 1) * size * size
        memory = [BufferWrapper(length) for _ in range(BLOCKS)]
        self.blocks = [_Block(part, batch_size, size) for part in memory]
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, work, memory, batch_size, size)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def prepare(self, block: int, rows: Sequence[int]) -> None:
        """Ask for a batch."""
        self.pipe.send((block, rows))

    def judge(self, block: int) -> None:
        """Ask for the results of a batch whose logits are there."""
        self.pipe.send((block, None))

    def receive(self) -> list[Out]:
        """Return the worker's next message: results, or nothing once a batch is prepared.

        Raises:
            ValueError: What went wrong in the worker, or that it is gone.
        """
        try:
            done, results = self.pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join(1)
            raise ValueError(
                f"a worker process ended (exit code {self._process.exitcode}); is there enough "
                "memory? Try fewer --workers or a smaller --batch-size"
            ) from None
        if not done:
            raise results
        return results

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(
    pipe: Connection,
    work: Work[Any, Any],
    memory: list[BufferWrapper],
    batch_size: int,
    size: int,
) -> None:
    """Do what comes through the pipe: (block, rows) to prepare, (block, None) to judge."""
    leave_signals_to_parent()
    cv2.setNumThreads(0)
    blocks = [_Block(part, batch_size, size) for part in memory]
    kept: list[list[Any]] = [[] for _ in blocks]
    owner = multiprocessing.parent_process()
    while True:
        while not pipe.poll(PARENT_CHECK_SECONDS):
            if owner is None or not owner.is_alive():
                return
        try:
            number, rows = pipe.recv()
            results = []
            if rows is None:
                results = list(map(work.judge, kept[number], blocks[number].logits))
            else:
                kept[number] = []
                for place, row in enumerate(rows):
                    about, inputs = work.prepare(row)
                    blocks[number].inputs[place] = inputs
                    kept[number].append(about)
            pipe.send((True, results))
        except EOFError:
            return
        except Exception as error:
            pipe.send((False, _portable(error)))


def _portable(error: Exception) -> Exception:
    """Return the error, or one that says the same where it cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ValueError(f"{type(error).__name__}: {error}")
    return error
