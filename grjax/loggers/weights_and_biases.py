"""Weights & Biases: a run there, or offline in the folder `wandb` of the workdir.

W&B reads its own environment variables: WANDB_MODE=offline, WANDB_PROJECT (else 'grjax'), WANDB_ENTITY, ...
"""

import os
import secrets
from collections.abc import Mapping
from typing import Any

from grjax.errors import ConfigError
from grjax.loggers.logger import Opening, numbers
from grjax.metrics import Row


class _WeightsAndBiases:
    def __init__(self, opening: Opening):
        import wandb

        identity = opening.kept.get("id") or secrets.token_hex(8)
        opening.keep(id=identity)  # before the run exists, so that no second one ever does
        self._keep, self._last = opening.keep, opening.kept.get("step", -1)
        try:
            self._run = wandb.init(
                id=identity,
                resume="allow",
                reinit="create_new",  # trials that run together are open at the same time
                project=None if "WANDB_PROJECT" in os.environ else "grjax",
                name=opening.name,
                group=opening.name.rpartition("/")[0] or None,
                dir=opening.workdir,
                config={**opening.config, "environment": opening.environment},
                # Its bar and links would run into the live display.
                settings=wandb.Settings(silent=True, console="off"),
            )
        except (wandb.Error, OSError) as error:
            raise ConfigError(
                f"wandb: the run cannot be opened: {' '.join(str(error).split())}; log in by `wandb login`, "
                "or set WANDB_MODE=offline"
            ) from error
        self._ended = False
        self.where = str(self._run.settings.sync_dir if self._run.offline else self._run.url)

    def log(self, row: Row) -> None:
        if row["step"] > self._last:
            self._run.log(numbers(row), step=row["step"], commit=True)
            self._last = row["step"]
            self._keep(step=self._last)

    def end(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(summary))
        self._ended = True

    def close(self) -> None:
        self._run.finish(exit_code=0 if self._ended else 1)


def open_logger(opening: Opening) -> _WeightsAndBiases:
    """Opens the run, or the one that the workdir has already.

    Raises:
      ConfigError: W&B refuses it.
    """
    return _WeightsAndBiases(opening)
