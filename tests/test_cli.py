"""The command: how its words and its config files are read, and what is installed with it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import grjax
from grjax import cli, configs
from grjax.config.files import ConfigFile, take_from
from grjax.errors import ConfigError

ROOT = Path(__file__).parent.parent

# A config file that counts how often it is executed, and how often each of its functions is called.
COUNTING = """
from pathlib import Path
from ml_collections import ConfigDict
from grjax.sweep import Sweep, seeds

def count(what):
    with open(Path(__file__).with_suffix(".txt"), "a") as file:
        file.write(f"{what}\\n")

count("executed")

def get_base():
    return ConfigDict({"model": {"name": "mlp", "hidden": (4,)}, "batch_size": 512, "train_steps": 2,
                       "eval_every_steps": 2, "tensorboard": False, "keep_predictions": False})
"""
FUNCTIONS = {
    "train": """
def get_config(argument="none"):
    count(f"get_config({argument})")
    return get_base()
""",
    "sweep": """
def get_sweep(argument="none"):
    count(f"get_sweep({argument})")
    return Sweep(get_base(), seeds([0]))
""",
}


def command(*arguments, cwd=ROOT, program=("run.py",)):
    code = [sys.executable, *program, *map(str, arguments)]
    return subprocess.run(code, cwd=cwd, text=True, capture_output=True, timeout=1000)


@pytest.fixture
def counting(request, tmp_path):
    """A config file with the function of a mode, and what reads its counts."""

    def write(mode):
        file = tmp_path / "counting.py"
        file.write_text(COUNTING + FUNCTIONS[mode])
        return file, lambda: file.with_suffix(".txt").read_text().splitlines()

    return write


# -------------------------------------------------------------------------------------------- config files


@pytest.mark.parametrize("mode", ["train", "sweep"])
def test_a_start_executes_its_config_file_once(mode, counting, data_dir, tmp_path):
    file, counts = counting(mode)
    done = command(mode, f"--config={file}:x", f"--workdir={tmp_path / 'run'}", "--config.init_seed=3")
    if mode == "sweep":  # its trials set the seed
        assert done.returncode == 2, done.stderr
        assert "init_seed: is set by the trials" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
    assert counts() == ["executed", f"get_{'sweep' if mode == 'sweep' else 'config'}(x)"]


def test_base_and_trials_of_a_sweep_come_from_one_call(counting):
    file, counts = counting("sweep")
    loaded = ConfigFile(str(file))
    assert loaded.config.sweep.workers == 1
    assert loaded.config.batch_size == loaded.sweep.base.batch_size == 512
    assert counts() == ["executed", "get_sweep(none)"]


def test_a_shipped_config_is_found_by_name_and_by_path(monkeypatch, tmp_path):
    by_name = ConfigFile("gr_cifar100:loss=gce,seed=3").config
    assert (by_name.loss.name, by_name.init_seed) == ("gce", 3)
    for given in (configs.FOLDER / "gr_cifar100.py", "configs/gr_cifar100.py"):
        assert ConfigFile(f"{given}:loss=gce,seed=3").config == by_name
    monkeypatch.chdir(tmp_path)  # where there is no such file
    assert ConfigFile("configs/gr_cifar100.py:loss=gce,seed=3").config == by_name
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "gr_cifar100.py").write_text(COUNTING + FUNCTIONS["train"])
    assert ConfigFile("configs/gr_cifar100.py").config.batch_size == 512  # here it is the user's own


def test_shipped_configs_are_one_module_each_however_they_are_found():
    from grjax.configs import digits, digits_sweep

    assert digits_sweep.get_config is digits.get_config
    assert ConfigFile(str(ROOT / "configs" / "digits.py"))._content is vars(digits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("digit", "--config=digit: no config of that name is shipped; did you mean 'digits'?"),
        ("nowhere.py", "--config=nowhere.py: there is no such file"),
        ("configs/nowhere.py", "--config=configs/nowhere.py: there is no such file"),
        ("gr_cifar100:los=gce", "argument.los: 'gr_cifar100' has no such option; did you mean 'loss'?"),
    ],
)
def test_what_is_no_config_is_refused(given, message):
    with pytest.raises(ConfigError) as caught:
        _ = ConfigFile(given).config
    assert str(caught.value).startswith(message)


def test_a_file_without_its_functions_is_refused(tmp_path):
    (tmp_path / "empty.py").write_text("")
    file = ConfigFile(str(tmp_path / "empty.py"))
    with pytest.raises(ConfigError, match=r"empty.py: must have a function get_config or get_sweep"):
        _ = file.config
    with pytest.raises(ConfigError, match=r"empty.py: has no function get_sweep"):
        _ = file.sweep


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("digits", [])),
        (["--config=a"], ("a", [])),
        (["-config", "a", "--debug"], ("a", ["--debug"])),
        (["--config.noise.rate=1", "--config", "a:b=c"], ("a:b=c", ["--config.noise.rate=1"])),
    ],
)
def test_the_config_is_taken_from_the_arguments(arguments, expected):
    assert take_from(arguments, "digits") == expected


@pytest.mark.parametrize("arguments", [["--config"], ["--config="], ["--config=a", "--config", "b"]])
def test_a_config_that_is_not_given_once_is_refused(arguments):
    with pytest.raises(ConfigError, match="--config: must be"):
        take_from(arguments, "digits")


# -------------------------------------------------------------------------------------------------- the words


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], []),
        (["--workdir=a"], ["--workdir=a"]),
        (["sweep", "--workdir=a"], ["--mode=sweep", "--workdir=a"]),
        (["--mode=sweep"], ["--mode=sweep"]),
    ],
)
def test_a_word_is_a_mode(arguments, expected):
    assert cli._with_mode(arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adit"], "adit: unknown command; did you mean 'audit'?"),
        (["audit", "--mode=report"], "--mode: is said by the word audit already"),
    ],
)
def test_a_wrong_word_is_refused(arguments, message):
    with pytest.raises(ConfigError) as caught:
        cli._with_mode(arguments)
    assert str(caught.value).startswith(message)


AT_IMPORT = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "jax":
            from grjax import host
            print("tuned" if host.tuned() else "not tuned", flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch())
from grjax.cli import main
main()
"""


@pytest.mark.parametrize("words", [[], ["sweep"], ["figure", "emphasis"]], ids=str)
def test_the_host_is_set_up_before_jax_is_imported(words):
    """As the console script does it; tests/test_host.py has run.py."""
    assert command(*words, program=("-c", AT_IMPORT)).stdout == "tuned\n"


def test_help_names_every_word_and_loads_no_config():
    done = command("--help", "--config=nowhere.py")
    assert done.returncode == 0, done.stderr
    for word in (*cli.MODES, "figure", "--workdir", "--config", "dry_run"):
        assert word in done.stdout
    assert done.stderr == ""


def test_version():
    assert command("--version").stdout == f"grjax {grjax.__version__}\n"


def test_flags_in_a_file_may_name_the_config(tmp_path):
    (tmp_path / "flags").write_text(f"--config=digits_sweep\n--workdir={tmp_path / 'run'}\n--dry_run\n")
    done = command("sweep", f"--flagfile={tmp_path / 'flags'}")
    assert done.returncode == 0, done.stderr
    assert "60 are left" in done.stdout


# ----------------------------------------------------------------------------------------------- the package


def test_every_package_is_installed():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("grjax/**/*.py")}
    assert setup["package-dir"] == {"grjax.configs": "configs"}
    assert sorted(setup["packages"]) == sorted({*found, "grjax.configs"})


def test_the_configs_are_found_in_an_installed_package_too(tmp_path):
    """As the wheel has them: in a folder beside the module that finds them."""
    (tmp_path / "grjax" / "configs").mkdir(parents=True)
    for name in ("__init__.py", "configs.py"):
        (tmp_path / "grjax" / name).write_text((ROOT / "grjax" / name).read_text())
    (tmp_path / "grjax" / "configs" / "one.py").write_text("WHERE = __file__")
    code = "from grjax import configs; from grjax.configs.one import WHERE; print(configs.names(), WHERE)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )  # fmt: skip
    assert done.stdout == f"['one'] {tmp_path / 'grjax' / 'configs' / 'one.py'}\n", done.stderr


def test_configs_are_imported_as_of_the_package():
    """`from configs import` would work in a checkout alone."""
    files = [*ROOT.glob("configs/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("grjax/**/*.py")]
    assert not [path.name for path in files if "from configs" in path.read_text()]


def test_every_file_names_the_same_version():
    assert f"version: {grjax.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{grjax.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
