"""Ray, the one engine for more than one machine: join or start it, and map a function over tasks.

Scheduling, retries after a machine is lost and the shipping of objects are Ray's. It is imported
when first used.
"""

import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from latentfoley.errors import InputError, LatentFoleyError, MissingExtraError
from latentfoley.pools import in_order, map_in_processes, n_cores, require_workers

Task = TypeVar("Task")
Result = TypeVar("Result")

_STORE_BYTES = 256 << 20  # of a local Ray: what travels are rows of a manifest and names of files


def require_ray() -> None:
    """Refuse to go on without Ray, which is not imported for it.

    Raises:
        MissingExtraError: it is not installed.
    """
    if sys.modules.get("ray", True) is None or find_spec("ray") is None:
        raise MissingExtraError(
            "work on a cluster needs the extra 'ray': pip install 'latentfoley[ray]'"
        )


@contextmanager
def connected(address: str | None = None) -> Iterator[ModuleType]:
    """Yield Ray, connected to a cluster until the block ends.

    Args:
        address: of a cluster's head, or "auto"; None is that of the environment's RAY_ADDRESS, or
            else starts a Ray of this machine's cores, which answers only to a token that is drawn
            for it. Where the program is connected already, that is kept.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: no cluster answers there.
    """
    require_ray()
    address = address or os.environ.get("RAY_ADDRESS")
    _set_environment(own_token=not address and "ray" not in sys.modules)
    import ray

    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    own = {
        "num_cpus": n_cores(),
        "object_store_memory": _STORE_BYTES,
        "include_dashboard": False,
    }
    try:
        with _without_stderr(), _own_signals():
            ray.init(address=address or "local", **quiet, **({} if address else own))
    except (ConnectionError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"no Ray cluster answers at '{address or 'local'}': {said}") from None
    try:
        with redirect_stdout(sys.stderr):  # it prints what happens to nodes, whatever it is told
            yield ray
    finally:
        ray.shutdown()


def _set_environment(*, own_token: bool) -> None:
    """Set what Ray reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of the driver, on the terminal
    if own_token:  # its ports are open to the network
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals that Ray replaces by its own, which end the process at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # None: not installed by Python
                    signal.signal(number, handler)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Keep what Ray's C++ says of its own start off the terminal."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def map_on(
    ray: bool,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int | None,
    *,
    gpus: bool = False,
    as_here: bool = False,
) -> Iterator[Result]:
    """Yield `function(task)` for every task, in their order: on Ray, or in processes.

    Args:
        ray: whether to use it.
        function, tasks, gpus, as_here: as `map_in_tasks` takes them.
        workers: processes, or tasks at once on a cluster; None is one per core.
    """
    if ray:
        yield from map_in_tasks(function, tasks, workers, gpus=gpus, as_here=as_here)
    else:
        yield from map_in_processes(function, tasks, require_workers(workers))


def map_in_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int | None = None,
    *,
    gpus: bool = False,
    as_here: bool = False,
) -> Iterator[Result]:
    """Yield `function(task)` for every task, in their order, on Ray.

    At most two tasks per worker are waiting. What a task raises is raised here; a task of a machine
    that is lost is run again elsewhere.

    Args:
        function: of a task alone, which names files by paths that every machine has.
        tasks: as they come.
        workers: tasks at once; None is one per core of the cluster.
        gpus: whether each task takes a GPU of a cluster that has some.
        as_here: whether NumPy has as many threads in a task as here instead of one; the last digit
            of a decomposition depends on them.
    """
    with connected() as module:
        has = module.cluster_resources()
        n_gpus = 1 if gpus and has.get("GPU") else 0
        n_workers = workers or max(1, int(has.get("CPU", 1)))
        try:
            executor = _RayExecutor(module, n_gpus, as_here)
            yield from in_order(executor, function, tasks, 2 * n_workers)
        except module.exceptions.RayTaskError as error:
            if isinstance(error.cause, LatentFoleyError):
                raise error.cause from None
            raise


class _RayExecutor(Executor):
    """Tasks of one core each, that start in the folder of this process."""

    def __init__(self, ray: ModuleType, n_gpus: int, as_here: bool) -> None:
        self._ray = ray
        threads = os.environ.get("OMP_NUM_THREADS", str(n_cores()))
        of_tasks = {"env_vars": {"OMP_NUM_THREADS": threads}} if as_here else None
        self._run = ray.remote(num_cpus=1, num_gpus=n_gpus, runtime_env=of_tasks)(_run_in)
        self._waiting: set[Any] = set()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a task."""
        reference = self._run.remote(str(Path.cwd()), function, *args, **kwargs)
        self._waiting.add(reference)
        future: Future[Any] = reference.future()
        future.add_done_callback(lambda _: self._waiting.discard(reference))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the tasks that nobody waits for any more."""
        for reference in list(self._waiting):
            self._ray.cancel(reference, force=True)


def _run_in(folder: str, function: Callable[..., Any], *args: Any) -> Any:
    os.chdir(folder)
    return function(*args)
