"""Which emphasis mode is best, against the noise rate. Needs matplotlib, the extra `figures`.

  python -m grjax.analysis.mode_against_noise runs/digits_lambda_beta --output runs/modes.svg

reads the folder of a sweep over `loss.lam`, `loss.beta` and `noise.rate` that selects `loss.beta`, as
configs/digits_lambda_beta.py; prints a table and draws it. The mode of lam is lam / (lam + 1), the p at which
an example counts most: 0 emphasises the hardest, a larger one leaves those alone.
"""

import argparse
import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from grjax.analysis.weights import COLOURS
from grjax.errors import ConfigError, WorkdirError, exit_in_one_line, require
from grjax.sweep import results
from grjax.sweep.statistics import Spread, spread

Scores = Mapping[tuple[float, float], Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Modes:
    """Accuracies by (noise rate, lam), where beta is for each the best on validation data.

    Attributes:
      betas: the chosen beta.
      validation: accuracies on held-out data of the runs that chose it, one a repetition.
      test: last test accuracies of the runs on everything.
    """

    betas: Mapping[tuple[float, float], float]
    validation: Scores
    test: Scores

    @property
    def rates(self) -> list[float]:
        """The noise rates, ascending."""
        return sorted({rate for rate, _ in self.test})

    @property
    def lams(self) -> list[float]:
        """The lambdas, ascending."""
        return sorted({lam for _, lam in self.test})

    def best(self, scores: Scores, rate: float) -> float:
        """The lam with the best mean at a noise rate, the smallest of equals."""
        return max(self.lams, key=lambda lam: spread(scores[rate, lam]).mean)

    def best_of_each(self, rate: float) -> list[float]:
        """The lam that each repetition of the validation runs alone would have chosen."""
        repetitions = range(min(len(self.validation[rate, lam]) for lam in self.lams))
        return [max(self.lams, key=lambda lam: self.validation[rate, lam][k]) for k in repetitions]


def read(folder: Path) -> Modes:
    """The accuracies of a finished sweep over lam, beta and noise rate that selects beta.

    Raises:
      WorkdirError: no such sweep there, or one that is not finished.
    """
    try:
        choices = json.loads((folder / "selection.json").read_text(encoding="utf-8"))["choices"]
    except (OSError, json.JSONDecodeError) as error:
        raise WorkdirError(f"{folder}: no finished selection there: selection.json: {error}") from error
    betas: dict[tuple[float, float], float] = {}
    validation: dict[tuple[float, float], Sequence[float]] = {}
    for choice in choices:
        beta = (choice["chosen"] or {}).get("loss.beta")
        if {"noise.rate", "loss.lam"} <= choice["setting"].keys() and beta is not None:
            where = choice["setting"]["noise.rate"], choice["setting"]["loss.lam"]
            if where in betas:
                raise WorkdirError(f"{folder}: the sweep varies more than loss.lam, loss.beta and noise.rate")
            chosen = next(each for each in choice["candidates"] if each["overrides"] == choice["chosen"])
            betas[where], validation[where] = beta, chosen["scores"]
    test: dict[tuple[float, float], list[float]] = {where: [] for where in betas}
    for result in results.read(folder):
        where = result["overrides"].get("noise.rate"), result["overrides"].get("loss.lam")
        if where in test and result["state"] == "complete":
            test[where].append(result["summary"]["test_accuracy_last"])
    modes = Modes(betas, validation, test)
    missing = [
        where
        for where in itertools.product(modes.rates, modes.lams)
        if not test.get(where) or not validation[where]
    ]
    if missing or not test:
        what = (
            "over loss.lam and noise.rate" if not test else f"of lam {missing[0][1]} at rate {missing[0][0]}"
        )
        raise WorkdirError(f"{folder}: no finished runs {what} there")
    return modes


def table(modes: Modes) -> str:
    """Markdown: for each noise rate test accuracy by mode, and the best mode by validation and by test."""
    names = [f"ψ = {mode_of(lam):.2f} (λ = {lam:g})" for lam in modes.lams]
    lines = [
        f"| noise rate | {' | '.join(names)} | best ψ on validation | best ψ on test, in hindsight |",
        "|---" * (len(names) + 3) + "|",
    ]
    for rate in modes.rates:
        cells = [
            f"{_text(spread(modes.test[rate, lam]))}, β = {modes.betas[rate, lam]:g}" for lam in modes.lams
        ]
        best = [f"{mode_of(modes.best(scores, rate)):.2f}" for scores in (modes.validation, modes.test)]
        lines.append(f"| {rate:g} | {' | '.join(cells + best)} |")
    return "\n".join(lines)


def mode_of(lam: float) -> float:
    """ψ = lam / (lam + 1), where exp(beta p^lam (1 - p)) is largest for beta > 0."""
    return lam / (lam + 1)


def draw(modes: Modes, path: Path, title: str = "") -> None:
    """Draws test accuracy over noise rate, a line for each mode; and beside it the best mode over noise rate.

    Args:
      modes: from `read`.
      path: of the picture; its ending says which format (.png, .svg, .pdf).
      title: over the picture.
    """
    require("matplotlib", "figures")
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no global state, no window

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    accuracy, mode = figure.subplots(1, 2)
    step = min((b - a for a, b in itertools.pairwise(modes.rates)), default=0.2)
    for number, lam in enumerate(modes.lams):
        spreads = [spread(modes.test[rate, lam]) for rate in modes.rates]
        accuracy.errorbar(
            # Side by side, or the bars would hide each other.
            [rate + step * (number - (len(modes.lams) - 1) / 2) / 20 for rate in modes.rates],
            [each.mean for each in spreads],
            [each.std or 0 for each in spreads],
            color=COLOURS[number % len(COLOURS)],
            marker="o",
            markersize=4,
            linewidth=1.6,
            elinewidth=1,
            label=f"ψ = {mode_of(lam):.2f} (λ = {lam:g})",
        )
    accuracy.legend(frameon=False, fontsize="small")
    accuracy.set(xlabel="noise rate", ylabel="test accuracy, last epoch", ylim=(None, 1))
    for rate in modes.rates:
        alone = modes.best_of_each(rate)
        for lam in sorted(set(alone)):
            mode.scatter(rate, mode_of(lam), s=25 * alone.count(lam) ** 2, color="#CCCCCC", zorder=1)
    chosen = [mode_of(modes.best(modes.validation, rate)) for rate in modes.rates]
    hindsight = [mode_of(modes.best(modes.test, rate)) for rate in modes.rates]
    mode.plot(modes.rates, chosen, "o-", color=COLOURS[4], linewidth=1.8, label="on validation data")
    mode.plot(modes.rates, hindsight, "x--", color=COLOURS[5], label="on test data, in hindsight")
    mode.scatter([], [], s=25, color="#CCCCCC", label="a repetition alone, on validation")
    mode.set(xlabel="noise rate", ylabel="best emphasis mode ψ", ylim=(-0.05, None))
    mode.set_yticks([mode_of(lam) for lam in modes.lams], [f"{mode_of(lam):.2f}" for lam in modes.lams])
    mode.legend(frameon=False, fontsize="small")
    for panel in (accuracy, mode):
        panel.set_xticks(modes.rates)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "grjax"}):  # the same runs give the same file
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _text(values: Spread) -> str:
    std = "" if values.std is None else f" ± {values.std:.3f}"
    return f"{values.mean:.3f}{std} ({values.n})"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the sweep")
    parser.add_argument("--output", type=Path, default=Path("runs/modes.svg"), help="the picture")
    parser.add_argument("--title", default="", help="over the picture")
    given = parser.parse_args(arguments)
    with exit_in_one_line(kinds=(ConfigError, WorkdirError, OSError)):
        modes = read(given.folder)
        print(table(modes))
        draw(modes, given.output, given.title)


if __name__ == "__main__":
    main()
