import itertools
import json

import pytest

from grjax.analysis import mode_against_noise
from grjax.errors import WorkdirError

RATES, LAMS = (0.2, 0.8), (0.0, 1.0)


def accuracy(rate, lam, seed):
    """Mode 0 is better where there is little noise, but in one repetition; 1/2 where there is much."""
    turned = rate == 0.2 and seed == 2
    return 0.9 - rate / 2 + (0.1 if (lam == 1) == ((rate > 0.5) != turned) else 0.0)


@pytest.fixture
def sweep(tmp_path):
    """The folder of a sweep over lam, beta and noise rate that has selected beta."""
    choices, lines = [], []
    for rate, lam in itertools.product(RATES, LAMS):
        candidates = [
            {
                "overrides": {"loss.beta": beta},
                "scores": [accuracy(rate, lam, k) - (beta == 4) for k in range(3)],
            }
            for beta in (4.0, 8.0)
        ]
        setting = {"loss.lam": lam, "noise.rate": rate}
        choices.append({"setting": setting, "candidates": candidates, "chosen": {"loss.beta": 8.0}})
        for seed in range(3):
            # On test data the other mode is better at 0.8.
            summary = {"test_accuracy_last": accuracy(rate, (1 - lam) if rate == 0.8 else lam, seed)}
            lines.append(
                {"overrides": {**setting, "loss.beta": 8.0}, "state": "complete", "summary": summary}
            )
    (tmp_path / "selection.json").write_text(json.dumps({"choices": choices}))
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_the_best_mode_is_that_of_validation_and_hindsight_is_beside_it(sweep):
    modes = mode_against_noise.read(sweep)
    assert (modes.rates, modes.lams) == ([0.2, 0.8], [0.0, 1.0])
    assert [modes.best(modes.validation, rate) for rate in modes.rates] == [0.0, 1.0]
    assert [modes.best(modes.test, rate) for rate in modes.rates] == [0.0, 0.0]
    # of the beta that is chosen
    assert modes.validation[0.2, 0.0] == [accuracy(0.2, 0.0, k) for k in range(3)]
    assert modes.best_of_each(0.2) == [0.0, 0.0, 1.0]
    assert mode_against_noise.table(modes).splitlines()[3] == (
        "| 0.8 | 0.600 ± 0.000 (3), β = 8 | 0.500 ± 0.000 (3), β = 8 | 0.50 | 0.00 |"
    )


def test_an_unfinished_sweep_is_refused(sweep, tmp_path_factory):
    lines = (sweep / "results.jsonl").read_text().splitlines(keepends=True)
    (sweep / "results.jsonl").write_text("".join(lines[3:]))
    with pytest.raises(WorkdirError, match=r"no finished runs of lam 0.0 at rate 0.2"):
        mode_against_noise.read(sweep)
    with pytest.raises(WorkdirError, match="no finished selection there"):
        mode_against_noise.read(tmp_path_factory.mktemp("empty"))
