"""What the command says where a computer is not as expected: one line, and every name can be printed."""

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from small_runs import rows, small

from grjax import cli, door, noise
from grjax.analysis.noise_report import print_tables
from grjax.errors import DataWarning, DiskFullError, WorkdirError
from grjax.sweep import Sweep, engine, results, seeds
from grjax.train import train_and_evaluate
from grjax.workdir import files
from grjax.workdir.checkpoints import Checkpoints

ROOT = Path(__file__).parent.parent
SMALL = ["--config.model.features=(8,)", "--config.model.hidden=16", "--config.train_steps=240",
         "--config.eval_every_steps=20", "--config.checkpoint_every_steps=10"]  # fmt: skip


def command(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, env=os.environ | environment, text=True,
        timeout=1000, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


# ---------------------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 kB, and what makes it larger; where the system lets this process mount one."""

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", tmp_path], capture_output=True)
        return done.returncode == 0

    if not sys.platform.startswith("linux") or not mount("size=300k"):
        pytest.skip("this process may not mount a disk")
    yield tmp_path, lambda: mount("remount,size=100m")
    subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_full_disk_is_one_line_and_the_run_goes_on(small_disk, data_dir):
    folder, enlarge = small_disk
    code, output = command("run.py", *SMALL, f"--workdir={folder / 'run'}")
    assert code == 3, output
    line = f"DiskFullError: --workdir={folder / 'run'}: no space is left on the disk; make room and start the"
    assert output.splitlines()[-1].startswith(line)
    assert "Traceback" not in output
    assert enlarge()
    code, output = command("run.py", *SMALL, f"--workdir={folder / 'run'}")
    assert code == 0, output
    assert "going on at step" in output


@pytest.mark.parametrize("where", ["row", "checkpoint"])
@pytest.mark.usefixtures("compile_quickly")
def test_a_full_disk_in_the_library(where, data_dir, tmp_path, monkeypatch):
    def full(self, step, *_):
        if step < 8:
            return before(self, step, *_)
        if where == "row":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise ValueError(f"RESOURCE_EXHAUSTED: Failed to write: {os.strerror(errno.ENOSPC)}")

    before = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", full)
        with pytest.raises(DiskFullError, match=r"--workdir=.*run: no space is left"):
            train_and_evaluate(small(), tmp_path / "run")
    train_and_evaluate(small(), tmp_path / "run")
    assert [row["step"] for row in rows(tmp_path / "run")] == [0, 4, 8, 12]


def test_another_error_is_not_taken_for_a_full_disk():
    with pytest.raises(OSError, match="denied"), files.a_full_disk_named("runs/x"):
        raise PermissionError(errno.EACCES, "denied")


@pytest.mark.usefixtures("compile_quickly")
def test_a_trial_that_met_a_full_disk_has_not_failed(data_dir, tmp_path, monkeypatch):
    sweep = Sweep(small(train_steps=4), seeds([0, 1]))

    def full(self, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", full)
        with pytest.raises(DiskFullError):
            engine.run(sweep, tmp_path / "sweep")
    assert results.read(tmp_path / "sweep") == []
    engine.run(sweep, tmp_path / "sweep")
    assert [each["state"] for each in results.read(tmp_path / "sweep")] == ["complete", "complete"]


# -------------------------------------------------------------------------------------------------- devices


def test_devices_that_are_not_there_are_one_line(tmp_path):
    code, output = command("run.py", f"--workdir={tmp_path}", JAX_PLATFORMS="cuda", PYTHONWARNINGS="ignore")
    if code == 0:
        pytest.skip("they are there")
    assert code == 2, output
    assert "Traceback" not in output
    line = output.splitlines()[-1]
    assert line.startswith("ConfigError: JAX_PLATFORMS=cuda: jax has no such devices here")
    assert "JAX_PLATFORMS=cpu" in line


def test_a_home_that_cannot_be_written_is_one_line_and_no_error(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    before = jax.config.jax_compilation_cache_dir
    cli._keep_compiled("~/.cache/grjax")
    assert jax.config.jax_compilation_cache_dir == before
    line = "--compilation_cache=~/.cache/grjax: cannot be written, programs are not kept: Not a directory\n"
    assert capsys.readouterr().err == line


# ---------------------------------------------------------------------------------------------------- names

NAMES = (b"caf\xe9", "thé".encode(), b"[bold]x", b":cat:")

EVERYTHING = """
import sys
from small_runs import small
from grjax import door
from grjax.analysis.audit_run import audit_run
from grjax.analysis.noise_report import report_noise
from grjax.analysis.report import write_report
from grjax.evaluate import evaluate_checkpoint
from grjax.train import train_and_evaluate

door.print_anything()
door.warn_in_one_line()
pictures, workdir = sys.argv[1:]
config = small(**{"data.name": "folder", "data.dir": pictures, "data.image_size": 4, "batch_size": 8,
                  "train_steps": 2, "eval_every_steps": 2, "checkpoint_every_steps": 2})
train_and_evaluate(config, workdir)
report_noise(config, workdir)
evaluate_checkpoint(workdir)
audit_run(workdir, export=True)
print(write_report([workdir]))
"""


def test_every_name_can_be_printed_and_written(tmp_path):
    """Folders in Latin-1 and UTF-8, and markup of the terminal's library, under an ASCII locale."""
    rng = np.random.default_rng(0)
    pictures = os.fsencode(tmp_path) + b"/caf\xe9 pictures"
    for name in NAMES:
        os.makedirs(pictures + b"/" + name)
        for number in range(10):
            pixels = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(os.fsdecode(pictures + b"/" + name + b"/%d.png" % number))
        (Path(os.fsdecode(pictures + b"/" + name)) / "x.heic").touch()
    code, output = command(
        "-c", EVERYTHING, os.fsdecode(pictures), tmp_path / "run",
        LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}",
    )  # fmt: skip
    assert code == 0, output
    assert output.isascii()
    for shown in ("caf\\xe9", "th\\xe9", "[bold]x", ":cat:"):
        assert shown in output
    [warned] = {line for line in output.splitlines() if "DataWarning" in line}
    assert warned.startswith("DataWarning: data.dir: ")
    assert warned.endswith(
        "caf\\xe9 pictures: 4 files are no images that can be read, and are left out: 4 .heic"
    )
    for name in ("audit.csv", "audit.html", "report.html"):
        text = (tmp_path / "run" / name).read_bytes().decode("utf-8")
        assert "caf\\xe9" in text
        assert "thé" in text


def test_tables_show_names_as_they_are(capsys):
    noisy = noise.create("symmetric", rate=0.4, seed=0)(np.arange(40) % 2, 2)
    print_tables(noisy, ("[/b]", ":cat:"))  # the first would be an error of the library, the second a picture
    shown = capsys.readouterr().out
    assert "[/b]" in shown
    assert ":cat:" in shown


def test_text_that_is_no_utf8_is_written_with_escapes(tmp_path):
    files.write_text(tmp_path / "a.txt", "thé caf\udce9")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "thé caf\\udce9"


def test_a_workdir_whose_name_is_no_utf8_is_refused(data_dir, tmp_path):
    with pytest.raises(WorkdirError, match=r"caf\\xe9: its name must be UTF-8"):
        train_and_evaluate(small(), os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))


def test_other_warnings_are_pythons(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
    door.warn_in_one_line()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("other", RuntimeWarning, stacklevel=1)
        warnings.warn("of data", DataWarning, stacklevel=1)
        warnings.warn("of noise", noise.LegacyNoiseWarning, stacklevel=1)
    assert shown == ["other"]
    assert capsys.readouterr().err == "DataWarning: of data\nLegacyNoiseWarning: of noise\n"
