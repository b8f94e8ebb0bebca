"""The commands of the documentation: the README's are run, the keys and configs of all others are right."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from grjax import config, losses, noise
from grjax.config.files import ConfigFile, take_from

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SET_UP = [
    "python3 -m venv .venv && . .venv/bin/activate && pip install -e . && python run.py",
    "pip install -e '.[dev]' && pytest -n 2",
]


def commands(page):
    """The arguments of each `python run.py` and `grjax` of a page, in blocks of code and in sentences."""
    text = page.read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for language, block in blocks if language in ("", "bash") for line in block.splitlines()]
    lines += re.findall(r"(?<!`)`((?:python run\.py|grjax) -[^`]+)`", text)
    for line in lines:
        command = re.match(r"(?:srun .*?|\S+=\S+ )*(?:python run\.py|grjax)( .*)?$", line.rstrip("&"))
        if command and not re.search(r"…| figure ", line):
            yield shlex.split(command[1] or "", comments=True)


PAGES = [page for page in (README, *sorted((ROOT / "docs").rglob("*.md"))) if [*commands(page)]]


def test_the_readme_begins_with_the_two_commands_and_fits_a_screen():
    text = README.read_text()
    block = re.search(r"```bash\n(.*?)```", text, flags=re.DOTALL)[1]
    assert [line.partition("  #")[0].rstrip() for line in block.splitlines()] == SET_UP
    assert text.count("\n") <= 150


def test_the_readme_counts_what_is_registered():
    text = README.read_text()
    assert f"[All {len(losses.names() + losses.names_with_memory())} losses]" in text
    assert f"[{len(noise.names())} kinds of label noise]" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_and_configs_of_every_command_are_right(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for arguments in commands(page):
        given, rest = take_from(arguments, "digits")
        overrides = {}
        for key, value in (word[9:].split("=", 1) for word in rest if word.startswith("--config.")):
            try:
                overrides[key] = ast.literal_eval(value.capitalize() if value in ("true", "false") else value)
            except (ValueError, SyntaxError):
                overrides[key] = value
        if not (ROOT / given.partition(":")[0]).exists() and given.endswith(".py"):
            continue  # a file that the page tells its reader to write
        if "--mode=sweep" in rest or rest[:1] == ["sweep"]:
            ConfigFile(given).sweep.with_overrides(overrides)
        else:
            config.resolve(ConfigFile(given).config, config.unflatten(overrides))


def test_commands_of_the_readme_run(tmp_path, data_dir):
    rng = np.random.default_rng(0)
    for number in range(40):
        photo = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(photo)
    short = [
        "--config.batch_size=8", "--config.train_steps=4", "--config.eval_every_steps=2",
        "--config.model.features=(4,)", "--config.model.hidden=8",
    ]  # fmt: skip
    places = {
        "runs/digits": f"{tmp_path}/runs/photos",
        "runs/": f"{tmp_path}/runs/",
        "=photos": f"={tmp_path}/photos",
        "gr_table5.py": "gr_table5.py:quick=true",  # of digits
        "=aclImdb": f"={data_dir}",
    }
    run = [arguments for arguments in commands(README) if arguments]  # without any it is the main job
    assert len(run) == 5
    lists = []  # of trials, while the others run
    for arguments in run:
        words = [_replaced(word, places) for word in arguments]
        if "--mode=sweep" in words:
            lists.append(_started(*words, "--dry_run"))
        else:
            trains = not any(word.startswith("--mode") for word in words)
            _ended(_started(*words, *(short if trains else ())))
    for process in lists:
        assert "gradient_rescaling" in _ended(process)
    made = {path.name for path in (tmp_path / "runs" / "photos").iterdir()}
    listed = re.findall(r"^\| `([\w.]+)/?` \|", README.read_text(), flags=re.MULTILINE)
    assert len(listed) == 5
    assert {*listed, "audit.html", "audit.csv", "cleaned_labels.npz", "report.html"} <= made


def _started(*words):
    environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    return subprocess.Popen(
        [sys.executable, "run.py", *words],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _ended(process):
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


def _replaced(word, places):
    return next((word.replace(old, new) for old, new in places.items() if old in word), word)
