"""Runs whose numbers are not finite any more end, before anything of them is measured or saved."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grjax.errors import NonFiniteError
from grjax.runs import Run


def all_finite(tree: Any) -> jax.Array:
    """Whether no number of a tree is NaN or infinite: bool []."""
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def check_losses(runs: Sequence[Run], end: int, losses: np.ndarray) -> None:
    """Ends the runs with a loss that is not finite, of [runs, K] in the steps that led to `end`."""
    for run, values in zip(runs, losses, strict=False):
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size and run.outcome is None:
            step = end - len(values) + int(bad[0])
            run.outcome = _non_finite(run, f"the loss is {values[bad[0]]} at step {step}", step)


def check_states(runs: Sequence[Run], step: int, finite: jax.Array) -> None:
    """Ends runs rather than measure a poisoned state, or save it as the latest checkpoint."""
    for run, is_finite in zip(runs, np.asarray(finite), strict=False):
        if not is_finite and run.outcome is None:
            what = f"the parameters are not finite after {step} steps"
            run.outcome = _non_finite(run, what, max(step - 1, 0))


def _non_finite(run: Run, what: str, step: int) -> NonFiniteError:
    """The error that ends a run in which something is not finite, at or after `step`."""
    run.checkpoints.wait()
    steps = run.checkpoints.steps()
    good = f"step {steps[-1]}" if steps else "none yet"
    return NonFiniteError(
        f"{what} (learning rate {run.experiment.learning_rate_at(step):.4g}); last good checkpoint: {good}; "
        "try a lower optimizer.learning_rate, or optimizer.clip_norm"
    )
