"""The config.json of a workdir: one that an older or a newer version wrote, and one that is damaged."""

import json
import shutil

import pytest
from small_runs import rows, small

from grjax import __version__
from grjax.errors import PreemptedError, WorkdirError
from grjax.evaluate import evaluate_checkpoint
from grjax.sweep import Sweep
from grjax.sweep import folder as sweep_folder
from grjax.train import StopRequest, train_and_evaluate
from grjax.workdir.folder import read_config


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped at step 4 of 8."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StopRequest, "at", lambda self, step: step == 4)
        with pytest.raises(PreemptedError):
            train_and_evaluate(small(train_steps=8), folder)
    return folder


@pytest.fixture
def run(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "run")


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def without(config):
    """As a version wrote it that lacked these keys."""
    del config["evaluate_start"], config["profile"], config["open_set"], config["max_steps_per_call"]
    del config["data"]["views"], config["data"]["augmentation"]


def test_a_key_that_is_missing_has_its_default_and_the_run_goes_on(run):
    rewrite(run / "config.json", without)
    assert evaluate_checkpoint(run)["step"] == 4
    assert read_config(run).max_steps_per_call == 1
    assert train_and_evaluate(small(train_steps=8), run)["num_steps"] == 8
    assert [row["step"] for row in rows(run)] == [0, 4, 8]


def test_a_missing_key_that_is_not_the_default_here_is_a_difference(run):
    rewrite(run / "config.json", without)
    with pytest.raises(WorkdirError, match=r"data\.views: 1 there, 2 here\)"):
        train_and_evaluate(small(**{"train_steps": 8, "data.views": 2}), run)


@pytest.mark.parametrize("look", [lambda run: train_and_evaluate(small(), run), evaluate_checkpoint])
def test_an_unknown_key_says_which_version_wrote_it(run, look):
    rewrite(run / "config.json", lambda config: config.update(warp=9))
    rewrite(run / "environment.json", lambda starts: starts[0]["packages"].update(grjax="7.1.0"))
    pattern = rf"config\.json: warp: unknown config key; .*grjax 7\.1\.0 wrote it, this is {__version__}"
    with pytest.raises(WorkdirError, match=pattern):
        look(run)
    (run / "environment.json").write_text("[]")
    with pytest.raises(WorkdirError, match="another version of grjax wrote it"):
        look(run)


def test_an_unknown_option_says_it_too(run):
    rewrite(run / "config.json", lambda config: config["loss"].update(warp=9))
    rewrite(run / "environment.json", lambda starts: starts[0]["packages"].update(grjax="7.1.0"))
    with pytest.raises(WorkdirError, match=r"loss\.warp: 9 there, not set here; grjax 7\.1\.0 began it"):
        train_and_evaluate(small(train_steps=8), run)


@pytest.mark.parametrize("look", [lambda run: train_and_evaluate(small(), run), evaluate_checkpoint])
@pytest.mark.parametrize(
    "content", [b"[1, 2]", b"7", b"null", b"\x89PNG\r\n\x1a\n\xff\xfe", b"", b'{"method": 3}']
)
def test_a_damaged_one_is_one_clear_error(run, content, look):
    (run / "config.json").write_bytes(content)
    with pytest.raises(WorkdirError, match=r"config\.json"):
        look(run)


def test_a_sweep_goes_on_too(tmp_path):
    sweep = Sweep(small(), [{"init_seed": 0}, {"init_seed": 1}])
    name = sweep_folder.open_for(sweep, tmp_path)
    rewrite(tmp_path / "sweep.json", lambda content: without(content["base"]))
    assert sweep_folder.open_for(sweep, tmp_path) == name
    rewrite(tmp_path / "sweep.json", lambda content: content["base"].update(warp=9))
    with pytest.raises(WorkdirError, match=r"sweep\.json: warp: .*another version of grjax wrote it"):
        sweep_folder.check(sweep, tmp_path)
    (tmp_path / "sweep.json").write_text("[]")
    with pytest.raises(WorkdirError, match=r"sweep\.json: is damaged"):
        sweep_folder.check(sweep, tmp_path)
