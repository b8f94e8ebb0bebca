"""How a loss is chosen: what is held out, how many candidates are tried, and which of equal ones is taken."""

import dataclasses
from typing import Any, Literal

from grjax.errors import ConfigError

Ties = Literal["best", "least_fitted", "own"]
TIES = ("best", "least_fitted", "own")


@dataclasses.dataclass(frozen=True)
class Tune:
    """The options of `--mode=tune`, each set by --config.tune.KEY=VALUE.

    Attributes:
      fraction: of the training examples that is held out while candidates are compared, in (0, 1).
      repetitions: trainings of each candidate, which differ in initialisation and order; their held-out
        predictions are taken together. Of a config file with `get_sweep` whose trials set seeds, the seeds.
      trials: 0: every candidate of a grid; N: N candidates of each loss, drawn by Optuna.
      ties: which of the candidates that noisy labels cannot tell from the best is taken. 'best': the best;
        'least_fitted': the one whose accuracy on the labels that it was trained on exceeds the one on
        held-out labels least; 'own': the loss and learning rate of the config, if it is among them.
      train: whether the one that is taken is then trained on everything.
    """

    fraction: float = 0.2
    repetitions: int = 1
    trials: int = 0
    ties: Ties = "best"
    train: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.fraction, bool) or not 0 < self.fraction < 1:
            raise ConfigError(f"tune.fraction: must be in (0, 1), got {self.fraction}")
        for key, least in (("repetitions", 1), ("trials", 0)):
            if getattr(self, key) < least:
                raise ConfigError(f"tune.{key}: must be at least {least}, got {getattr(self, key)}")
        if self.ties not in TIES:
            raise ConfigError(f"tune.ties: must be one of {', '.join(TIES)}, got {self.ties!r}")


def options() -> dict[str, Any]:
    """Every option with its default."""
    return dataclasses.asdict(Tune())
