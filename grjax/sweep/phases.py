"""A sweep from beginning to end: choose what is to be chosen, run the trials, write the tables."""

import contextlib
import dataclasses
import os
from pathlib import Path

from grjax.errors import SweepFailedError, WorkdirError
from grjax.paths import as_path
from grjax.sweep import engine, selection, table_files
from grjax.sweep.definition import Sweep
from grjax.sweep.results import Result, exclusive, read
from grjax.sweep.search import example, search
from grjax.sweep.selection import Choice, Select
from grjax.sweep.table import Table, check
from grjax.workdir.files import read_json


def run(sweep: Sweep, folder: str | os.PathLike[str], *, dry_run: bool = False) -> list[Result]:
    """Runs a sweep, or goes on with it, and writes its tables; see `engine.run`.

    A sweep that selects has a first phase, a sweep of its own in the folder `selection`. What is chosen there
    is written to selection.json, once, and the second phase runs that.

    Args:
      sweep: what to run.
      folder: of the sweep.
      dry_run: check everything and say what would be done, but run nothing.

    Returns:
      The results of the trials, without those of the first phase.

    Raises:
      ConfigError: an impossible trial, a table that the trials do not fill, or a metric that is not measured.
      SweepFailedError: a trial failed, or all candidates of every choice did; the others are complete.
      WorkdirError: the folder is another sweep's.
    """
    folder = as_path(folder)
    tables = (sweep.table,) if isinstance(sweep.table, Table) else tuple(sweep.table or ())
    keys = set() if sweep.select is None else {key for t in sweep.trials for key in sweep.select.keys(t)}
    for table in tables:
        check(table, sweep.trials, keys)
    made: list[Choice] = []
    final = sweep
    if sweep.select is not None:
        made = _chosen(sweep, sweep.select, folder, dry_run)
        if dry_run and not made:
            return []
        trials = selection.final_trials(made)
        if not trials:
            raise SweepFailedError(f"{folder / 'selection.json'}: every candidate failed, none is left")
        final = dataclasses.replace(sweep, trials=trials, select=None, table=None)
    try:
        return engine.run(final, folder, dry_run=dry_run)
    except WorkdirError:  # nothing is written to the folder of another sweep
        tables = ()
        raise
    finally:  # also a table that is not complete says something
        if tables and not dry_run and folder.exists():
            with exclusive(folder / ".table.lock"):  # workers may end together
                table_files.write(tables, sweep.trials, read(folder), folder, made=made)


def _chosen(sweep: Sweep, select: Select, folder: Path, dry_run: bool) -> list[Choice]:
    """The first phase: what is chosen; in a dry run nothing, unless it has been chosen before."""
    planned = selection.choices(select, sweep.trials)
    # Whether all of it is possible shows before any of it is run.
    dataclasses.replace(sweep, trials=[example(trial) for trial in sweep.trials]).configs()
    path = folder / "selection.json"
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        made = compared(sweep, select, folder / "selection", dry_run)
        if dry_run:
            print(f"then {sum(len(each.seeds) for each in planned)} trials with what is chosen of each")
            return []
        with exclusive(folder / ".selection.lock"):  # of several workers one chooses for all
            if not path.exists():
                selection.write(select, made, path)
    stored = selection.read(path)
    content = read_json(path)
    same = (content["metric"], content["held_out"]) == (select.metric, select.held_out())
    grid = select.search is None  # what a search has drawn is checked by a file of its own
    if not same or [_settings(each, grid) for each in stored] != [_settings(each, grid) for each in planned]:
        raise WorkdirError(
            f"--workdir={folder}: selection.json there is of another sweep; take another --workdir"
        )
    return stored


def compared(sweep: Sweep, select: Select, folder: Path, dry_run: bool) -> list[Choice]:
    """Trains the candidates with data held out, or goes on with them; returns the choices with their scores.

    Args:
      sweep: whose trials are the candidates.
      select: how they are compared.
      folder: of this phase.
      dry_run: say what would be done, and run nothing.

    Raises:
      ConfigError: an impossible candidate.
      WorkdirError: the folder is another sweep's.
      PreemptedError, CtrlCError: SIGTERM or Ctrl-C came; the state is saved.
    """
    if select.search is not None:
        if dry_run:
            spaces = [each.candidates[0].overrides for each in selection.choices(select, sweep.trials)]
            print(f"{sum(map(bool, spaces))} searches of {select.search.num_trials} candidates each")
            return []
        folder.mkdir(exist_ok=True)
        return search(sweep, select, folder)
    trials = selection.comparing_trials(select, sweep.trials)
    if not trials:
        return selection.choices(select, sweep.trials)
    with contextlib.suppress(SweepFailedError):  # what failed is not chosen, and selection.json says so
        engine.run(
            dataclasses.replace(sweep, trials=trials, select=None, table=None), folder, dry_run=dry_run
        )
    return selection.choose(select, sweep.trials, read(folder))


def _settings(choice: Choice, grid: bool) -> list[str]:
    """What of a choice is the same before and after it is made, of a `grid` its candidates too."""
    candidates = [each.overrides for each in choice.candidates] if grid else []
    return [selection.as_text(each) for each in (choice.setting, *choice.seeds, *candidates)]
