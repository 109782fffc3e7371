"""Rows, teachers' attempts and rollouts on a Ray cluster: one machine with more processes, or many (extra `ray`).

Ray starts the processes, sends the work, and gives a task to another process where one dies; nothing of that is done
here. Each process has its own HTTP connections and its own limits of an LM; processes of one machine share the cache
of replies on its disk.
"""

from __future__ import annotations

from typing import Any, final

from telic._cancel import Cancelled, CancelScope
from telic._optional import require
from telic._text import plural
from telic.context import get as get_setting
from telic.errors import ConfigurationError, ProgramError, WorkerLostError


@final
class Ray:
    """Runs the rows of evaluations and optimizers, teachers' attempts and GRPO's rollouts as Ray's tasks.

        with telic.context(executor=Ray(), num_threads=64):
            better = optimizer.compile(program, trainset=rows)

    Args:
        address: The cluster, "auto" or "ray://head:10001"; None: the one that this process is connected to, else a new
            one on this machine.
        workers: Processes of a new cluster; None: one for each CPU. Not with `address`.
        cpus: CPUs that a row takes: below 1 where rows wait for servers, so that more of them run on a CPU.
        retries: How often a row is given to another process where its own dies. Calls that were paid for and are not
            in a cache that the processes share are paid for again.
        options: More of `ray.remote`: `num_gpus`, `resources`, `runtime_env` ….

    What a program holds (its LM, retriever, metric) must be picklable by cloudpickle: functions of `__main__` are.
    Rows are as many at once as the setting `num_threads` allows. Callbacks are not told of what happens there. Within a
    run, what came back is kept, replies of failed rows too; LM calls of rows that were away when this process was
    killed are paid for again. Ctrl-C ends the row of the thread that it reaches; those of other threads are finished
    there, and nobody waits for them for longer than for rows of this process.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigurationError: An option cannot work.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        workers: int | None = None,
        cpus: float = 1.0,
        retries: int = 3,
        **options: Any,
    ) -> None:
        if workers is not None and (address is not None or isinstance(workers, bool) or workers < 1):
            raise ConfigurationError(
                f"Ray: workers={workers!r} is for a new cluster on this machine, 1 or more; with address= it has no "
                "meaning"
            )
        if isinstance(retries, bool) or retries < 0:
            raise ConfigurationError(f"Ray: retries must be 0 or more, got {retries!r}")
        if not cpus > 0:
            raise ConfigurationError(f"Ray: cpus must be above 0, got {cpus!r}")
        self._ray: Any = require("ray", extra="ray", purpose="executor=Ray()")
        self.retries = retries
        if not self._ray.is_initialized():
            own = {} if address is not None else {"num_cpus": workers, "include_dashboard": False}
            self._ray.init(address=address, log_to_driver=False, **own)
        self._task: Any = self._ray.remote(num_cpus=cpus, max_retries=retries, **options)(_call)

    def share(self, value: Any) -> Any:
        """Put a value into the cluster's store; it stays while what is returned is held."""
        try:
            self._ray.cloudpickle.dumps(value)  # its error is one line, that of `put` is a page
        except Exception as error:  # whatever the classes of the program's parts raise
            raise ConfigurationError(
                f"the program, its metric or a setting cannot be sent to other processes: {error}; what they hold must "
                "be picklable"
            ) from error
        return self._ray.put(value)

    def run(self, work: Any, *args: Any) -> Any:
        """Do it in a process of the cluster.

        Raises:
            WorkerLostError: The process died, as often as it was tried.
            Cancelled: It was called off.
            ProgramError: It could not be opened there, or what came of it could not be sent back.
        """
        broken = self._ray.exceptions
        task = self._task.remote(work, *args)
        scope: CancelScope | None = get_setting("cancel_scope")
        try:
            if scope is not None:
                scope.add(task, lambda: self._ray.cancel(task))
            return self._ray.get(task)
        except (KeyboardInterrupt, Cancelled):
            self._ray.cancel(task)  # what it would still ask for is not wanted
            raise
        except broken.TaskCancelledError as error:
            raise Cancelled("the work was called off") from error
        except (broken.WorkerCrashedError, broken.OutOfMemoryError, broken.NodeDiedError) as error:
            raise WorkerLostError(
                f"the process that worked on it died ({type(error).__name__}), {plural(self.retries + 1, 'time')} "
                "in all"
            ) from error
        except broken.RayTaskError as error:
            cause = error.cause
            raise ProgramError(
                f"a process of the cluster could not do it: {type(cause).__name__}: {cause}; what a program takes and "
                "returns must be picklable, and its modules must be importable there (runtime_env)"
            ) from cause
        finally:
            if scope is not None:
                scope.discard(task)


def _call(work: Any, *args: Any) -> Any:
    return work(*args)
