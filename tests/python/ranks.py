"""Tests that run on several ranks: processes with gloo between them, started once for all.

`on_ranks(2)` or `on_ranks(2, 2)` above a test runs its body on every rank of a mesh of that shape,
which is its first argument; the others are pytest's. It fails where the body fails on any rank.
What crosses to the ranks is pickled: let arguments be names and numbers.
"""

import contextlib
import functools
import importlib
import inspect
import multiprocessing
import traceback
from datetime import timedelta
from math import prod
from multiprocessing import connection

import pytest

WORLD = 4
SHAPES = ((2,), (4,), (2, 2))
# How long a rank waits for another, as one must on a busy machine; and, once one has failed, how
# long for what the others say.
PATIENCE = 60
AFTERWARDS = 3


def _meshes(rank, store):
    """Joins the group; returns the mesh of each shape."""
    import torch
    import torch.distributed as dist
    from torch.distributed.device_mesh import DeviceMesh

    torch.set_num_threads(1)  # The ranks share the machine.
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=PATIENCE),
    )
    return {
        shape: DeviceMesh(
            "cpu",
            torch.arange(prod(shape)).view(shape),
            mesh_dim_names=("dp", "tp")[-len(shape) :],
        )
        for shape in SHAPES
    }


def _serve(rank, store, pipe):
    """Runs the bodies that the pipe names, and says of each what went wrong, or None."""
    meshes = _meshes(rank, store)
    while (request := pipe.recv()) is not None:
        module, test, shape, arguments = request
        try:
            getattr(importlib.import_module(module), test).body(meshes[shape], **arguments)
            pipe.send(None)
        except BaseException:
            pipe.send(traceback.format_exc())


class Ranks:
    """The processes; others after a failure, which may have left some of them waiting."""

    def __init__(self, folder):
        self._folder = folder
        self._starts = 0
        self._processes = []
        self._pipes = []
        # Ranks are forked from a process that has imported these, and nothing else.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["torch", "torch.distributed.tensor", "torch_rope"])

    def run(self, test, shape, arguments):
        """Returns what went wrong, by rank."""
        if not self._processes:
            self._start()
        pipes = self._pipes[: prod(shape)]
        for pipe in pipes:
            pipe.send((test.__module__, test.__name__, shape, arguments))
        wrong = self._answers(pipes)
        if wrong:
            self.stop()
        return wrong

    def stop(self):
        for process in self._processes:
            process.kill()
            process.join()
        self._processes, self._pipes = [], []

    def _start(self):
        self._starts += 1
        store = self._folder / f"store-{self._starts}"
        for rank in range(WORLD):
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(rank, store, theirs), daemon=True)
            process.start()
            theirs.close()  # So that the end of the process ends the pipe.
            self._processes.append(process)
            self._pipes.append(ours)

    def _answers(self, pipes):
        wrong, waiting = {}, list(pipes)
        while waiting:
            ready = connection.wait(waiting, timeout=AFTERWARDS if wrong else 2 * PATIENCE)
            if not ready:
                wrong.update({pipes.index(pipe): "did not answer" for pipe in waiting})
                break
            for pipe in ready:
                waiting.remove(pipe)
                said = "ended"
                with contextlib.suppress(EOFError):
                    said = pipe.recv()
                if said is not None:
                    wrong[pipes.index(pipe)] = said
        return wrong


@pytest.fixture(scope="session")
def ranks(tmp_path_factory):
    started = Ranks(tmp_path_factory.mktemp("ranks"))
    yield started
    started.stop()


def on_ranks(*shape):
    def decorate(body):
        @functools.wraps(body)
        def test(ranks, **arguments):
            wrong = ranks.run(test, shape, arguments)
            if wrong:
                texts = (f"rank {rank}: {text}" for rank, text in sorted(wrong.items()))
                pytest.fail("\n".join(texts), pytrace=False)

        own = list(inspect.signature(body).parameters.values())[1:]
        fixture = inspect.Parameter("ranks", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        test.__signature__ = inspect.Signature([fixture, *own])
        test.body = body
        return test

    return decorate
