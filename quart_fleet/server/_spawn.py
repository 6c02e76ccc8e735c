"""How a worker process is started: what it is to do lies ready before it begins.

multiprocessing writes that only then. Where the parent is killed in between, the worker would find
half of it, and say so in a traceback.
"""

import os
from contextlib import ExitStack
from io import BytesIO
from multiprocessing import reduction, resource_tracker, spawn, util
from multiprocessing.context import SpawnProcess, set_spawning_popen
from multiprocessing.popen_spawn_posix import Popen
from multiprocessing.process import BaseProcess
from typing import Any


class _Launch(Popen):
    """multiprocessing's, in another order."""

    _fds: list[int]
    """Those that the worker inherits."""

    def _launch(self, process_obj: BaseProcess) -> None:
        tracker = resource_tracker.getfd()
        assert tracker is not None
        order = BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(spawn.get_preparation_data(process_obj.name), order)
            reduction.dump(process_obj, order)
        finally:
            set_spawning_popen(None)
        self.sentinel, held_by_worker = os.pipe()
        read, write = os.pipe()
        ours = ExitStack()
        for each in (self.sentinel, write):  # until the worker has ended
            ours.callback(os.close, each)
        self.finalizer = util.Finalize(self, ours.close)
        try:
            os.set_blocking(write, False)
            taken = os.write(write, order.getbuffer())  # all, where the pipe is as large as usual
            os.set_blocking(write, True)
            self._fds += [tracker, read, held_by_worker]
            command = spawn.get_command_line(tracker_fd=tracker, pipe_handle=read)
            self.pid = util.spawnv_passfds(os.fsencode(spawn.get_executable()), command, self._fds)
        finally:
            os.close(read)
            os.close(held_by_worker)
        with open(write, "wb", closefd=False) as rest:
            rest.write(order.getbuffer()[taken:])


class WorkerProcess(SpawnProcess):
    """A process that runs a function, in a fresh interpreter."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - is multiprocessing's name
        return _Launch(process_obj)
