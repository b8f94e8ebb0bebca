"""Workdirs of grjax 0.1, whose state was that of one network, and where some options had other names.

They can be evaluated, audited and reported; the training of an unfinished one does not go on.
"""

from typing import Any

import flax.struct
import jax

from grjax.devices import PyTree
from grjax.steps import TrainState
from grjax.workdir.checkpoints import Checkpoints


def began(config: dict[str, Any]) -> bool:
    """Whether the config of a workdir is one that grjax 0.1 wrote."""
    return "method" not in config


def today(config: dict[str, Any]) -> dict[str, Any]:
    """A config of grjax 0.1 in today's names."""
    model, schedule = dict(config.get("model", {})), dict(config.get("schedule", {}))
    # Where it was what is done now. Other networks had other variables; the option stays, and is refused.
    if model.get("scan_blocks") == (model.get("name") == "vit"):
        del model["scan_blocks"]
    if schedule.get("name") == "cosine_restarts":
        schedule["name"] = "cosine"
    return {**config, "model": model, "schedule": schedule, "method": {"name": "single"}}


class FirstTrainState(flax.struct.PyTreeNode):
    """What grjax 0.1 saved."""

    step: jax.Array
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    loss_memory: PyTree
    dynamics: PyTree


def restore(checkpoints: Checkpoints, step: int, like: TrainState) -> TrainState:
    """The state that grjax 0.1 saved at `step`, as one of the method 'single'.

    Args:
      checkpoints: of the run.
      step: one of `checkpoints.steps()`.
      like: what `jax.eval_shape` says of the state.

    Raises:
      WorkdirError: the checkpoint is damaged, or of another structure.
    """
    network = like.learner
    found = checkpoints.restore(
        step,
        FirstTrainState(
            step=like.step,
            params=network.params,
            batch_stats=network.batch_stats,
            opt_state=network.opt_state,
            loss_memory=network.loss_memory,
            dynamics=like.dynamics,
        ),
    )
    learner = network.replace(
        params=found.params,
        batch_stats=found.batch_stats,
        opt_state=found.opt_state,
        loss_memory=found.loss_memory,
    )
    return TrainState(step=found.step, learner=learner, dynamics=found.dynamics)
