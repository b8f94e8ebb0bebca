"""Trains and evaluates classifiers under label noise: `python run.py --help`."""

import os
import sys
import time

START = time.monotonic()  # before the imports: they are part of what a person waits for

from grjax import host
from grjax.errors import ConfigError, GrjaxError, exit_in_one_line

with exit_in_one_line("--debug" in sys.argv):
    host.tune()  # before jax is imported

from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import config_flags

import grjax.config
import grjax.config.files
from grjax.train import train_and_evaluate

DEFAULT_CONFIG = Path(__file__).parent / "configs" / "digits.py"
CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,  # or a mistake on the command line would show while this is imported
    "The experiment, configs/digits.py by default; single keys are set by --config.KEY=VALUE.",
    lock_config=False,
    accept_new_attributes=True,
)
WORKDIR = flags.DEFINE_string(
    "workdir", "runs/digits", "Folder of the run; a run found there goes on. --mode=report: RUN,RUN,…"
)
MODES = ["train", "sweep", "evaluate", "noise", "report", "audit"]
MODE = flags.DEFINE_enum("mode", "train", MODES, "What to do.")
STEP = flags.DEFINE_integer("step", None, "--mode=evaluate: which checkpoint; by default the latest.")
EXPORT = flags.DEFINE_bool("export", False, "--mode=audit: write the cleaned labels as a file to train on.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "--mode=sweep: list the trials, and what is done already.")
DEBUG = flags.DEFINE_bool("debug", False, "Show the traceback of every error.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "Several hosts: host:port of process 0.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Several hosts: how many processes.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Several hosts: which of them this is, from 0.")
COMPILED = flags.DEFINE_string(
    "compilation_cache",
    "~/.cache/grjax",
    "Where compiled programs are kept for the next start; '' is nowhere.",
)
MULTIHOST = flags.DEFINE_bool("multihost", False, "Several hosts that jax finds itself (TPU pods, Slurm).")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    for flag, mode in (("step", "evaluate"), ("export", "audit"), ("dry_run", "sweep")):
        if flags.FLAGS[flag].value not in (None, False) and MODE.value != mode:
            raise app.UsageError(f"--{flag} is for --mode={mode}")
    logging.set_verbosity(logging.ERROR)
    keep_compiled()
    with exit_in_one_line(DEBUG.value, kinds=(GrjaxError, OSError)):
        join_hosts()
        run(MODE.value, Path(WORKDIR.value).expanduser())


def run(mode: str, workdir: Path) -> None:
    """One mode. It imports what the others do without: scikit-learn and matplotlib alone take seconds."""
    flag = flags.FLAGS["config"]
    overrides = config_flags.get_override_values(flag)
    if mode == "evaluate":
        from grjax.evaluate import evaluate_checkpoint

        evaluate_checkpoint(workdir, STEP.value, overrides)
    elif mode == "audit":
        from grjax.analysis.audit_run import audit_run

        audit_run(workdir, overrides, export=EXPORT.value)
    elif mode == "report":
        from grjax.analysis.report import write_report

        if overrides:
            raise ConfigError(f"--config.{next(iter(overrides))}: a report takes each run's own config")
        print(write_report([Path(each).expanduser() for each in WORKDIR.value.split(",")]))
    elif mode == "sweep":
        from grjax.sweep import phases, workers

        sweep = grjax.config.files.get_sweep(config_flags.get_config_filename(flag)).with_overrides(overrides)
        if DRY_RUN.value:
            phases.run(sweep, workdir, dry_run=True)
            return
        once = ["--config.sweep.workers=1", "--config.sweep.retry_failed=false"]
        with workers.others(sweep, workdir, [sys.executable, *sys.argv, *once]):
            phases.run(sweep, workdir)
    else:
        file = flag.parser.parse(config_flags.get_config_filename(flag))
        config = grjax.config.resolve(file, grjax.config.unflatten(overrides))
        if mode == "noise":
            from grjax.analysis.noise_report import report_noise

            report_noise(config, workdir)
        else:
            train_and_evaluate(config, workdir, START)


def keep_compiled() -> None:
    """Turns jax's compilation cache on, unless the environment has said where it is."""
    if COMPILED.value and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(Path(COMPILED.value).expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def join_hosts() -> None:
    """Several hosts become one run; without these flags there is one."""
    told = (COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
    if MULTIHOST.value or None not in told:
        jax.distributed.initialize(*told)  # what is None, jax finds itself
    elif any(value is not None for value in told):
        raise ConfigError("--coordinator, --num_processes and --process_id: give all three, or --multihost")


def parse_flags(argv: list[str]) -> list[str]:
    """The parser of absl, but a config that cannot be loaded is an error in one line."""
    with exit_in_one_line("--debug" in argv, kinds=(Exception,)):
        argv = grjax.config.files.complete(argv, DEFAULT_CONFIG)
        rest = app.parse_flags_with_usage(argv)
        CONFIG.value.keys()  # a file that is not there shows only when it is looked at
        return rest


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
