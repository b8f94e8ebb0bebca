"""Trains and evaluates classifiers under label noise.

  grjax [train]  --config=CONFIG --workdir=FOLDER   trains; a run that is found in the folder goes on
  grjax sweep    --config=CONFIG --workdir=FOLDER   trains the trials of a config with `get_sweep`
  grjax tune     --config=CONFIG --workdir=FOLDER   chooses a loss on noisy labels, trains with it
  grjax evaluate --workdir=FOLDER [--step=N]        measures a checkpoint again, class by class
  grjax noise    --config=CONFIG --workdir=FOLDER   draws and counts the labels, and trains nothing
  grjax report   --workdir=FOLDER,FOLDER,…          puts runs, or a sweep, on one page
  grjax audit    --workdir=FOLDER [--export]        says which labels are wrong
  grjax figure   NAME …                             draws a picture; `grjax figure --help` has them

CONFIG is a file or the name of a shipped one, with :ARGUMENT for one that takes arguments: configs/digits.py,
digits, gr_table1:quick=true. Each of its keys is set by --config.KEY=VALUE. `python run.py` in a checkout is
the same command; there the word is a flag, too: --mode=sweep.
"""

import copy
import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from grjax import __version__, door, host
from grjax.errors import ConfigError, GrjaxError, exit_in_one_line
from grjax.paths import as_path

if TYPE_CHECKING:
    from grjax.config.files import ConfigFile

MODES = ["train", "sweep", "tune", "evaluate", "noise", "report", "audit"]
DEFAULT_CONFIG = "digits"
CONFIG_HELP = "The experiment: a file or a shipped name; single keys are set by --config.KEY=VALUE."


def main() -> None:
    """The command `grjax`, and `python run.py`; call it once in a process.

    Raises:
      SystemExit: at the end, with an exit code; docs/guide/run.md explains them.
    """
    start = time.monotonic()  # before the imports: they are part of what a person waits for
    program, *arguments = sys.argv
    if arguments == ["--version"]:
        print(f"grjax {__version__}")
        sys.exit()
    debug = "--debug" in arguments
    door.exit_on_signals()
    door.print_anything()
    door.warn_in_one_line()
    with exit_in_one_line(debug):
        host.tune(restart=True)  # before jax is imported, which each of the imports below does
        if arguments[:1] == ["figure"]:
            from grjax.analysis import figures

            figures.main(arguments[1:], f"{Path(program).name} figure")
            sys.exit()
        arguments = _with_mode(arguments)
    from absl import app

    def parse(argv: list[str]) -> list[str]:
        with exit_in_one_line(debug, kinds=(Exception,)):
            return app.parse_flags_with_usage(argv)

    # A config that cannot be loaded is an error in one line, whatever it raises.
    with exit_in_one_line(debug, kinds=(Exception,)):
        file, arguments = _define_flags(arguments)
    app.run(lambda rest: _main(rest, file, start), argv=[program, *arguments], flags_parser=parse)


def _with_mode(arguments: list[str]) -> list[str]:
    """The arguments, where a first one that is a word has become --mode=WORD."""
    if not arguments or arguments[0].startswith("-"):
        return arguments
    word, *rest = arguments
    if word not in MODES:
        from grjax.registry import closest

        raise ConfigError(f"{word}: unknown command; {closest(word, [*MODES, 'figure'])}")
    if any(argument.lstrip("-").partition("=")[0] == "mode" for argument in rest if argument.startswith("-")):
        raise ConfigError(f"--mode: is said by the word {word} already")
    return [f"--mode={word}", *rest]


def _define_flags(arguments: list[str]) -> tuple["ConfigFile", list[str]]:
    """Defines the flags, --config by what its file holds.

    Returns:
      The file of --config, and the other arguments.
    """
    from absl import flags
    from ml_collections import ConfigDict, config_flags

    flags.DEFINE_string(
        "workdir", "runs/digits", "Folder of the run; a run found there goes on. report: RUN,RUN,…"
    )
    flags.DEFINE_enum("mode", "train", MODES, "What to do.")
    flags.DEFINE_integer("step", None, "evaluate: which checkpoint; by default the latest.")
    flags.DEFINE_bool("alignment", False, "evaluate: say which training examples help held-out data.")
    flags.DEFINE_bool("export", False, "audit: write the cleaned labels as a file to train on.")
    flags.DEFINE_bool("dry_run", False, "sweep, tune: list the trials, and what is done already.")
    flags.DEFINE_bool("debug", False, "Show the traceback of every error.")
    flags.DEFINE_string("coordinator", None, "Several hosts: host:port of process 0.")
    flags.DEFINE_integer("num_processes", None, "Several hosts: how many processes.")
    flags.DEFINE_integer("process_id", None, "Several hosts: which of them this is, from 0.")
    flags.DEFINE_bool("multihost", False, "Several hosts that jax finds itself (TPU pods, Slurm).")
    flags.DEFINE_string(
        "compilation_cache",
        "~/.cache/grjax",
        "Where compiled programs are kept for the next start; '' is nowhere.",
    )
    arguments = flags.FLAGS.read_flags_from_files(arguments, force_gnu=True)
    if {"-h", "-help", "--help", "--helpshort"}.intersection(arguments):
        flags.DEFINE_string("config", DEFAULT_CONFIG, CONFIG_HELP)
        print(f"{__doc__}\n{flags.FLAGS.module_help(__name__)}")
        sys.exit()
    from grjax.config import files

    given, arguments = files.take_from(arguments, DEFAULT_CONFIG)
    file = files.ConfigFile(given)
    from grjax.sweep.definition import OPTIONS
    from grjax.tune.definition import options

    overridden = copy.deepcopy(file.config)  # in place
    overridden.tune, overridden.sweep = ConfigDict(options()), ConfigDict(OPTIONS)
    config_flags.DEFINE_config_dict(
        "config",
        overridden,
        CONFIG_HELP,
        lock_config=False,
        accept_new_attributes=True,
        sys_argv=arguments,
    )
    return file, arguments


def _main(argv: list[str], file: "ConfigFile", start: float) -> None:
    from absl import app, flags, logging

    given = flags.FLAGS
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    for flag, modes in (
        ("step", ["evaluate"]),
        ("alignment", ["evaluate"]),
        ("export", ["audit"]),
        ("dry_run", ["sweep", "tune"]),
    ):
        if given[flag].value not in (None, False) and given.mode not in modes:
            raise app.UsageError(f"--{flag} is for --mode={' and --mode='.join(modes)}")
    logging.set_verbosity(logging.ERROR)
    _keep_compiled(given.compilation_cache)
    if not given.debug:
        door.say_a_full_disk_once()
    from grjax.workdir.files import a_full_disk_named

    kinds = (GrjaxError, OSError)
    with exit_in_one_line(given.debug, kinds), a_full_disk_named(given.workdir), _jax_explained():
        _join_hosts((given.coordinator, given.num_processes, given.process_id), given.multihost)
        _run(file, start)


def _run(file: "ConfigFile", start: float) -> None:
    """One mode. It imports what the others do without: scikit-learn and matplotlib alone take seconds."""
    from absl import flags
    from ml_collections import config_flags

    given = flags.FLAGS
    mode, workdir = given.mode, as_path(given.workdir)
    overrides = config_flags.get_override_values(given["config"])
    if mode == "evaluate":
        from grjax.evaluate import evaluate_checkpoint

        if given.alignment:
            from grjax.analysis.alignment import measure_alignment

            print(measure_alignment(workdir, given.step, overrides))
        evaluate_checkpoint(workdir, given.step, overrides)
    elif mode == "audit":
        from grjax.analysis.audit_run import audit_run

        audit_run(workdir, overrides, export=given.export)
    elif mode == "report":
        from grjax.analysis.report import write_report

        if overrides:
            raise ConfigError(f"--config.{next(iter(overrides))}: a report takes each run's own config")
        print(write_report(given.workdir.split(",")))
    elif mode == "sweep":
        from grjax.sweep import phases, workers

        sweep = file.sweep.with_overrides(overrides)
        if given.dry_run:
            phases.run(sweep, workdir, dry_run=True)
            return
        with workers.others(sweep, workdir, _another_worker()):
            phases.run(sweep, workdir)
    elif mode == "tune":
        from grjax.tune import run as tune_run

        command = [*_another_worker(), "--config.tune.train=false"]
        tune_run.tune_file(file, overrides, workdir, command, dry_run=given.dry_run)
    else:
        from grjax import config as config_lib

        config = config_lib.resolve(file.config, config_lib.unflatten(overrides))
        if mode == "noise":
            from grjax.analysis.noise_report import report_noise

            report_noise(config, workdir)
        else:
            from grjax.train import train_and_evaluate

            train_and_evaluate(config, workdir, start)


def _another_worker() -> list[str]:
    """The command that starts another worker on the folder of this one."""
    once = ["--config.sweep.workers=1", "--config.sweep.retry_failed=false"]
    return [sys.executable, *sys.argv, *once]


def _keep_compiled(cache: str) -> None:
    """Turns jax's compilation cache on, unless the environment has said where it is."""
    import jax

    if not cache or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = as_path(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        print(
            f"--compilation_cache={cache}: cannot be written, programs are not kept: {error.strerror}",
            file=sys.stderr,
        )
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _join_hosts(told: tuple[str | None, int | None, int | None], multihost: bool) -> None:
    """Several hosts become one run; without these flags there is one."""
    import jax

    if multihost or None not in told:
        jax.distributed.initialize(*told)  # what is None, jax finds itself
    elif any(value is not None for value in told):
        raise ConfigError("--coordinator, --num_processes and --process_id: give all three, or --multihost")


@contextmanager
def _jax_explained() -> Iterator[None]:
    """Within it, two errors of jax say what to do: devices that it does not have, whatever it makes of that,
    and a program that the set-up of the host does not allow.
    """
    import jax

    try:
        yield
    except (RuntimeError, AssertionError) as error:
        if remedy := host.explained(error):
            raise ConfigError(remedy) from error
        asked = jax.config.jax_platforms  # type: ignore[attr-defined]
        if not asked or isinstance(error, GrjaxError):
            raise
        try:
            jax.devices()
        except Exception as reason:
            details = f" ({' '.join(str(reason).split())[:200]})" if str(reason) else ""
            raise ConfigError(
                f"JAX_PLATFORMS={asked}: jax has no such devices here{details}; install what it needs for "
                "them, as pip install 'grjax[cuda]' does, or set JAX_PLATFORMS=cpu"
            ) from error
        raise
