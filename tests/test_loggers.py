"""Loggers: what TensorBoard, Weights & Biases and MLflow hold of a run, also of one that went on."""

import itertools
import json
import os
import shutil
import struct
import subprocess
import sys

import pytest
import wandb
from small_runs import small

from grjax import experiment, loggers
from grjax.errors import ConfigError, LoggerWarning
from grjax.loggers import Opening, tensorboard
from grjax.loggers.logger import numbers
from grjax.sweep import Sweep, engine
from grjax.train import train_and_evaluate
from grjax.workdir.metrics_file import read_rows

# SQLAlchemy 2.1 about MLflow's tables.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


class Stop:
    """A stop request that comes at a step."""

    def __init__(self, step):
        self._step = step

    def at(self, step):
        return step == self._step

    def error(self, message):
        return KeyboardInterrupt(message)


def train_in_two_starts(config, workdir):
    """Trains to step 8 of 12, with the checkpoint of that step lost, and again: the row at 8 comes twice."""
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(config, workdir, stop_request=Stop(8))
    shutil.rmtree(workdir / "checkpoints" / "8")
    return train_and_evaluate(config, workdir)


def expected_of(workdir):
    """{step: metrics} of metrics.jsonl."""
    return {row["step"]: numbers(row) for row in read_rows(workdir / "metrics.jsonl")}


# ------------------------------------------------------------------------------------------ TensorBoard


def events_of(folder):
    """The TensorBoard events in a folder, read by the format: length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events.*")):
        content, position = path.read_bytes(), 0
        while position < len(content):
            (length,) = struct.unpack_from("<Q", content, position)
            yield Event.FromString(content[position + 12 : position + 12 + length])
            position += length + 16


def opening(workdir, step=0):
    return Opening(workdir, "a", step, config={}, environment={}, kept={}, keep=lambda **values: None)


def test_tensorboard_events(tmp_path):
    logger = tensorboard.open_logger(opening(tmp_path))
    for step in (0, 10):
        logger.log({"step": step, "test_accuracy": step / 100, "memorisation": None, "seconds": 1.5})
    logger.close()
    scalars = {
        (value.tag, event.step): value.simple_value
        for event in events_of(tmp_path / "tensorboard")
        for value in event.summary.value
    }
    # Neither what is no metric nor what is None.
    assert scalars == {("test_accuracy", 0): 0, ("test_accuracy", 10): pytest.approx(0.1)}


def test_tensorboard_forgets_the_events_after_the_step_of_resume(tmp_path):
    tensorboard.open_logger(opening(tmp_path, step=20)).close()
    (start,) = [event for event in events_of(tmp_path / "tensorboard") if event.HasField("session_log")]
    assert start.session_log.status == start.session_log.START
    assert start.step == 21


# ------------------------------------------------------------------------------------- Weights & Biases


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))


def records_of(file):
    """The records of a .wandb file: LevelDB's log, in blocks of 32 KiB, of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, position, parts = file.read_bytes(), 7, b""
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
        length, kind = struct.unpack_from("<HB", content, position + 4)
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def key_of(item):
    return item.key or ".".join(item.nested_key)


def offline_runs(workdir):
    """Each start of a run: id, name, group, config, (step, metrics) in order, summary."""
    wandb.teardown()  # as at the end of a process: its service writes what it still holds
    for folder in sorted((workdir / "wandb").glob("offline-run-*")):
        (file,) = folder.glob("*.wandb")
        found = {"config": {}, "steps": [], "summary": {}}
        for record in records_of(file):
            if record.HasField("run"):
                found |= {
                    "id": record.run.run_id,
                    "name": record.run.display_name,
                    "group": record.run.run_group,
                }
                updates = record.run.config.update
                found["config"] |= {key_of(item): json.loads(item.value_json) for item in updates}
            for item in record.summary.update:
                found["summary"][key_of(item)] = json.loads(item.value_json)
            if record.HasField("history"):
                values = {key_of(item): json.loads(item.value_json) for item in record.history.item}
                metrics = {key: value for key, value in values.items() if not key.startswith("_")}
                found["steps"].append((record.history.step.num, metrics))
        yield found


def test_wandb_has_each_row_once_in_one_run(tmp_path, offline, compile_quickly):
    config = small(wandb=True)
    summary = train_in_two_starts(config, tmp_path / "run")
    first, second = offline_runs(tmp_path / "run")
    assert first["id"] == second["id"]
    assert (first["name"], first["group"]) == ("run", "")
    assert [step for step, _ in first["steps"] + second["steps"]] == [0, 4, 8, 12]
    rows = expected_of(tmp_path / "run")
    for step, metrics in [*first["steps"][:2], *second["steps"]]:  # the row at 8 has another clock
        assert metrics == pytest.approx(rows[step])
    assert first["config"]["loss"]["name"] == "cross_entropy"
    assert first["config"]["environment"]["from_step"] == 0
    assert second["summary"]["test_accuracy_last"] == summary["test_accuracy_last"]
    assert "test_accuracy_last" not in first["summary"]


def test_trials_that_run_together_are_runs_of_their_own(tmp_path, offline, compile_quickly):
    base = small(wandb=True, train_steps=4)
    sweep = Sweep(base, [{"init_seed": 0}, {"init_seed": 1}], execution="vmapped", chunk=2)
    engine.run(sweep, tmp_path / "table")
    runs = [list(offline_runs(tmp_path / "table" / "trials" / number)) for number in ("0000", "0001")]
    (zero,), (one,) = runs
    assert (zero["name"], one["name"]) == ("table/0000", "table/0001")
    assert zero["group"] == one["group"] == "table"
    assert zero["id"] != one["id"]
    assert [each["config"]["init_seed"] for each in (zero, one)] == [0, 1]
    for number, run in enumerate((zero, one)):
        rows = expected_of(tmp_path / "table" / "trials" / f"{number:04d}")
        assert dict(run["steps"]) == {step: pytest.approx(row) for step, row in rows.items()}


# ----------------------------------------------------------------------------------------------- MLflow


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A SQLite store without a run; MLflow takes seconds to make one."""
    mlflow = pytest.importorskip("mlflow")
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_store, tmp_path, monkeypatch):
    path = tmp_path / "store" / "mlflow.db"
    path.parent.mkdir()
    path.write_bytes(empty_store.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    monkeypatch.chdir(path.parent)
    return path


def mlflow_runs():
    import mlflow

    client = mlflow.MlflowClient()
    experiment_id = client.get_experiment_by_name("grjax").experiment_id
    return client, client.search_runs([experiment_id])


def history_of(client, run):
    """{step: metrics} of a run in MLflow, each once."""
    steps = {}
    for key in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, key):
            metrics = steps.setdefault(metric.step, {})
            assert key not in metrics, "twice"
            metrics[key] = metric.value
    return steps


def artifact(client, run, name, folder):
    with open(client.download_artifacts(run.info.run_id, name, str(folder))) as file:
        return json.load(file)


def test_mlflow_has_each_row_once_in_one_run(tmp_path, store, compile_quickly):
    config = small(mlflow=True)
    summary = train_in_two_starts(config, tmp_path / "run")
    client, (run,) = mlflow_runs()
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["noise.rate"] == "0.4"
    history = history_of(client, run)
    rows = expected_of(tmp_path / "run")
    last = history[12]
    assert last.pop("summary/test_accuracy_last") == summary["test_accuracy_last"]
    history[12] = {key: value for key, value in last.items() if not key.startswith("summary/")}
    for step in (0, 4, 12):  # the row at 8 has another clock
        assert history.pop(step) == pytest.approx(rows[step])
    assert list(history) == [8]
    assert artifact(client, run, "config.json", tmp_path) == json.loads(
        (tmp_path / "run" / "config.json").read_text()
    )
    assert artifact(client, run, "environment_4.json", tmp_path)["from_step"] == 4
    assert artifact(client, run, "summary.json", tmp_path) == summary


def test_a_run_goes_on_in_the_store_where_it_began(tmp_path, store, compile_quickly, monkeypatch):
    """And a run that was stopped says so."""
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(small(mlflow=True, train_steps=8), tmp_path / "run", stop_request=Stop(4))
    _, (run,) = mlflow_runs()
    assert run.info.status == "KILLED"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    train_and_evaluate(small(mlflow=True, train_steps=8), tmp_path / "run")
    assert not (tmp_path / "mlflow.db").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    client, (run,) = mlflow_runs()
    assert run.info.status == "FINISHED"
    assert sorted(history_of(client, run)) == [0, 4, 8]


def test_a_logger_that_is_switched_on_later_gets_the_earlier_rows(tmp_path, store, compile_quickly):
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(small(train_steps=8), tmp_path / "run", stop_request=Stop(4))
    train_and_evaluate(small(train_steps=8, mlflow=True), tmp_path / "run")
    client, (run,) = mlflow_runs()
    assert sorted(history_of(client, run)) == [0, 4, 8]


def test_a_run_that_the_store_does_not_have_is_an_error(tmp_path, store):
    (tmp_path / "loggers.json").write_text('{"mlflow": {"id": "abc", "store": "elsewhere"}}')
    with pytest.raises(
        ConfigError, match=r"^mlflow: the run cannot be opened in sqlite:.*abc.*loggers\.json"
    ):
        loggers.open_all(
            {"tensorboard": False, "wandb": False, "mlflow": True}, tmp_path, step=0, rows=[], environment={}
        )


# ------------------------------------------------------------------------------------------------- both


class Flaky:
    """A logger that fails at some calls."""

    where = None

    def __init__(self, fails):
        self._calls, self._fails, self.steps, self.closed = itertools.count(), fails, [], False

    def log(self, row):
        if next(self._calls) in self._fails:
            raise OSError("no network")
        self.steps.append(row["step"])

    def end(self, summary):
        del summary

    def close(self):
        self.closed = True


def test_what_could_not_be_sent_is_sent_later(tmp_path, monkeypatch):
    flaky = Flaky(fails=(1, 2))
    monkeypatch.setattr("grjax.loggers.ml_flow.open_logger", lambda opening: flaky)
    config = {"tensorboard": False, "wandb": False, "mlflow": True}
    (logger,) = loggers.open_all(config, tmp_path, step=0, rows=[{"step": 0}], environment={})
    with pytest.warns(LoggerWarning, match="mlflow: OSError: no network; the run goes on"):
        logger.log({"step": 4})
    for step in (8, 12):  # where a second warning would be an error
        logger.log({"step": step})
    logger.end({})
    logger.close()
    assert flaky.steps == [0, 4, 8, 12]
    assert flaky.closed


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_one_error_before_anything(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()  # W&B makes a folder of its own name, which Python takes for a package
    monkeypatch.chdir(tmp_path)
    hiding = (
        "import sys\n"
        "sys.path[:] = ['', *(p for p in sys.path if 'packages' not in p)]\n"
        "from grjax.errors import require\n"
        f"require('{name}', '{name}')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(loggers.__path__[0]))}
    done = subprocess.run([sys.executable, "-c", hiding], env=environment, capture_output=True, text=True)
    assert f"{name}: must be installed for this; pip install 'grjax[{name}]' brings it" in done.stderr
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=f"^{name}: must be installed"):
        experiment.check(small(**{name: True}))
    experiment.check(small(**{name: True}), training=False)


def test_of_several_processes_one_logs(tmp_path, monkeypatch):
    from grjax import runs

    opened = []
    monkeypatch.setattr(runs.loggers, "open_all", lambda *_, **__: opened.append(1) or [])
    config = small(wandb=True, mlflow=True)
    run = runs.Run(config, tmp_path, experiment.create(config))
    monkeypatch.setattr(runs.jax, "process_index", lambda: 1)
    runs.open_folder(run, 0, 0.0)
    assert opened == []
    monkeypatch.setattr(runs.jax, "process_index", lambda: 0)
    runs.open_folder(run, 0, 0.0)
    assert opened == [1]
