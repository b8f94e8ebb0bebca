"""MLflow: a run in the store that MLflow's own settings name.

That is MLFLOW_TRACKING_URI, a database or a server, or else the SQLite file mlflow.db in the current folder;
the experiment is MLFLOW_EXPERIMENT_NAME, or else 'grjax'. The store of a run is kept with its id, so that a
run that goes on from another folder finds it.
"""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from grjax.config import flatten
from grjax.errors import ConfigError
from grjax.loggers.logger import Opening, numbers
from grjax.metrics import Row

_PARAMS = 100  # in a call, as MLflow's servers allow
_LONGEST = 500  # characters of a parameter; config.json among the artifacts has it whole


class _MLflow:
    def __init__(self, opening: Opening):
        import mlflow
        from mlflow.exceptions import MlflowException

        kept_store = opening.kept.get("store")
        store = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() or not kept_store else kept_store
        self.where, self._ended = store, False
        try:
            self._client = mlflow.MlflowClient(store)
            if "id" in opening.kept:
                self._id = str(opening.kept["id"])
                self._client.update_run(self._id, status="RUNNING")
            else:
                self._id = self._new(opening)
                opening.keep(id=self._id, store=store)
            self._client.log_dict(self._id, dict(opening.environment), f"environment_{opening.step}.json")
            history = self._client.get_metric_history(self._id, "epoch")
        except MlflowException as error:
            raise ConfigError(
                f"mlflow: the run cannot be opened in {store}: {' '.join(str(error).split())}; set "
                "MLFLOW_TRACKING_URI to where it is, or delete loggers.json in the workdir for a new one"
            ) from error
        # The store itself says what it has: a row may have come before the process was killed.
        self._steps = {metric.step for metric in history}

    def _new(self, opening: Opening) -> str:
        from mlflow.entities import Param

        run = self._client.create_run(self._experiment(), run_name=opening.name)
        flat = flatten(opening.config).items()
        params = [Param(key, str(value)[:_LONGEST]) for key, value in flat]
        for part in _parts(params):
            self._client.log_batch(run.info.run_id, params=part)
        self._client.log_dict(run.info.run_id, dict(opening.config), "config.json")
        return str(run.info.run_id)

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "grjax")
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # another worker was first, or it raises again here
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def log(self, row: Row) -> None:
        if row["step"] not in self._steps:
            self._log(numbers(row), row["step"])
            self._steps.add(row["step"])

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(key, float(value), now, step) for key, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def end(self, summary: Mapping[str, Any]) -> None:
        values = {f"summary/{key}": value for key, value in summary.items() if isinstance(value, int | float)}
        if not self._client.get_metric_history(self._id, "summary/num_steps"):
            self._log(values, summary["num_steps"])
        self._client.log_dict(self._id, dict(summary), "summary.json")
        self._ended = True

    def close(self) -> None:
        self._client.set_terminated(self._id, "FINISHED" if self._ended else "KILLED")


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    return (values[first : first + _PARAMS] for first in range(0, len(values), _PARAMS))


def open_logger(opening: Opening) -> _MLflow:
    """Opens the run, or the one that the workdir has already.

    Raises:
      ConfigError: the store cannot be reached, or does not have the run.
    """
    return _MLflow(opening)
