"""The trials of a sweep as Optuna keeps them: who has which, what has ended, what crashed.

Each trial of the sweep is one of Optuna's, whose user attribute 'number' says which; WAITING, RUNNING,
COMPLETE and FAIL mean what they say. A trial whose worker crashed becomes FAIL without an 'error', and
another of Optuna's stands in for it. A worker on this machine is missed at once, by the lock on its file;
one on another by its heartbeat in the database, or without one by the time of its file.
"""

import contextlib
import fcntl
import logging
import os
import re
import socket
import threading
import uuid
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from grjax.errors import ConfigError
from grjax.sweep.definition import Sweep
from grjax.sweep.results import exclusive

_STATES = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.FAIL: "failed",
}


def open_storage(folder: Path, sweep: Sweep) -> optuna.storages.BaseStorage:
    """Optuna's storage of a sweep: see `Sweep.storage`.

    Raises:
      ConfigError: there is no such storage, or it cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with exclusive(folder / ".queue.lock"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats are called so since 2021
            if sweep.storage == "journal":
                return JournalStorage(JournalFileBackend(str(folder / "study.journal")))
            url = sweep.storage or f"sqlite:///{(folder / 'study.sqlite').absolute()}"
            return RDBStorage(
                url,
                engine_kwargs={"connect_args": {"timeout": 600}} if url.startswith("sqlite") else {},
                heartbeat_interval=sweep.heartbeat_seconds,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
    except Exception as error:  # whatever the database's driver raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        shown = re.sub(r":[^:/@]*@", ":…@", sweep.storage)  # without a password
        raise ConfigError(
            f"sweep.storage: must be '', 'journal' or the URL of a database, got {shown!r}: {reason}"
        ) from error


class Queue:
    """What a worker does with the trials; use it in a `with`, in which it is alive to the others.

    Args:
      folder: of the sweep, the same for all workers.
      sweep: its definition.
      name: of the sweep, unlike that of any other in the storage.
    """

    def __init__(self, folder: Path, sweep: Sweep, name: str):
        self._folder, self._sweep, self._name = folder, sweep, name
        self._storage = open_storage(folder, sweep)
        with self._exclusive():
            self._study = optuna.create_study(
                study_name=name, storage=self._storage, direction="maximize", load_if_exists=True
            )
        self._workers = folder / ".workers"
        self._me = f"{socket.gethostname()}-{uuid.uuid4().hex}"
        self._mine: dict[int, int] = {}  # number of a trial -> Optuna's number of it
        self._stopped = threading.Event()

    def __enter__(self) -> "Queue":
        self._workers.mkdir(exist_ok=True)
        self._file = open(self._workers / self._me, "w", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()
        (self._workers / self._me).unlink()
        self._file.close()

    def states(self) -> dict[int, str]:
        """Each trial as 'complete', 'failed', 'running' or 'waiting', without those that were not put in."""
        states: dict[int, str] = {}
        for trial in self._study.get_trials(deepcopy=False):  # in the order in which they were put in
            number = trial.user_attrs["number"]
            crashed = trial.state == TrialState.FAIL and "error" not in trial.user_attrs
            if not crashed and states.get(number) != "complete":
                states[number] = _STATES[trial.state]
        return states

    def fill(self, *, retry_failed: bool = False) -> None:
        """Puts in the trials that are missing, and again those whose worker is gone; perhaps failed ones."""
        with self._exclusive():
            self._fail_those_of_gone_workers()
            states = self.states()
            for number, overrides in enumerate(self._sweep.trials):
                if number not in states or (retry_failed and states[number] == "failed"):
                    self._study.enqueue_trial({"number": number}, {"number": number, "overrides": overrides})

    def claim(self, most: int, together: Callable[[int, int], bool]) -> list[int]:
        """Takes waiting trials, which are then this worker's until it ends or gives them back.

        Args:
          most: how many to take.
          together: whether two trials may run together.

        Returns:
          Numbers, the first that wait; none if none waits.
        """
        # SQLite has no SELECT ... FOR UPDATE: alone, Optuna could give a trial to two workers at a time.
        with self._exclusive():
            taken: list[int] = []
            waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            for trial in sorted(waiting, key=lambda trial: trial.user_attrs["number"]):
                number = trial.user_attrs["number"]
                if len(taken) == most:
                    break
                if number in taken or (taken and not together(taken[0], number)):
                    continue
                trial_id = self._id(trial.number)
                self._storage.set_trial_user_attr(trial_id, "worker", self._me)
                if self._storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                    self._mine[number] = trial.number
                    taken.append(number)
            self._record_heartbeats()
            return taken

    def complete(self, number: int, value: float) -> None:
        """A trial of this worker has ended with an accuracy."""
        self._end(number, TrialState.COMPLETE, value)

    def fail(self, number: int, error: str) -> None:
        """A trial of this worker has ended in an error, and is not run again."""
        with contextlib.suppress(UpdateFinishedTrialError):  # as in _end
            self._storage.set_trial_user_attr(self._id(self._mine[number]), "error", error)
        self._end(number, TrialState.FAIL)

    def give_back(self, numbers: Collection[int]) -> None:
        """Trials of this worker wait again, as they are."""
        for number in numbers:
            self._end(number, TrialState.FAIL)
        self.fill()

    def _end(self, number: int, state: TrialState, value: float | None = None) -> None:
        trial = self._mine.pop(number)
        # A trial that was taken for crashed has ended; another of Optuna's stands in for it.
        with contextlib.suppress(UpdateFinishedTrialError):
            values = None if value is None else [value]
            self._storage.set_trial_state_values(self._id(trial), state, values)

    def _fail_those_of_gone_workers(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(self._study)
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._is_gone(trial.user_attrs["worker"]):
                with contextlib.suppress(UpdateFinishedTrialError):
                    self._storage.set_trial_state_values(self._id(trial.number), TrialState.FAIL)

    def _is_gone(self, worker: str) -> bool:
        """Whether a worker has ended, or has not been heard of for long; a database tells that itself."""
        try:
            if worker.rpartition("-")[0] != socket.gethostname():
                return not isinstance(self._storage, RDBStorage) and self._silence(worker) > 2
            with open(self._workers / worker, encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        (self._workers / worker).unlink(missing_ok=True)
        return True

    def _silence(self, worker: str) -> float:
        """How many heartbeats ago a worker was last heard of, by the clock of the file system."""
        os.utime(self._workers / self._me)
        own_time, worker_time = ((self._workers / name).stat().st_mtime for name in (self._me, worker))
        return (own_time - worker_time) / self._sweep.heartbeat_seconds

    def _beat(self) -> None:
        while not self._stopped.wait(self._sweep.heartbeat_seconds):
            self._record_heartbeats()

    def _record_heartbeats(self) -> None:
        os.utime(self._workers / self._me)
        if not isinstance(self._storage, RDBStorage):
            return
        for trial in list(self._mine.values()):
            try:
                self._storage.record_heartbeat(self._id(trial))
            except Exception as error:  # the database may be back before anybody misses this worker
                logging.warning("A heartbeat could not be recorded: %s", error)

    def _id(self, trial: int) -> int:
        study = self._storage.get_study_id_from_name(self._name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, trial)

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        with exclusive(self._folder / ".queue.lock"):
            yield
