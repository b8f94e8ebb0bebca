"""Checkpoints by orbax, with a hash of their content."""

import hashlib
import logging
import os

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import preservation_policy

from grjax.devices import PyTree
from grjax.errors import WorkdirError
from grjax.paths import as_path


class Checkpoints:
    """The latest checkpoints of a run, in a folder of one subfolder a step.

    The state is saved from host memory, in the background; orbax renames a checkpoint into place when it is
    complete, so a process killed while saving leaves the ones before. States have no device axis: a run may
    go on with another number of devices.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int):
        options = ocp.CheckpointManagerOptions(
            preservation_policy=preservation_policy.LatestN(keep), create=True
        )
        self._folder = as_path(folder).absolute()
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def steps(self) -> list[int]:
        """The steps there are checkpoints of, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: PyTree) -> None:
        """Saves in the background; returns when the state may be changed again."""
        # orbax would save the device's own buffers, which the next step is going to overwrite.
        state = jax.tree.map(lambda leaf: np.array(leaf), state)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), content=ocp.args.JsonSave({"sha256": _sha256(state)})
            ),
        )

    def restore(self, step: int, like: PyTree) -> PyTree:
        """The state saved at `step`, as NumPy arrays in the structure of `like`.

        Args:
          step: one of `steps`.
          like: a state, or what `jax.eval_shape` says of one.

        Raises:
          WorkdirError: the checkpoint is damaged, or of another structure.
        """
        abstract = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
        try:
            found = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(abstract), content=ocp.args.JsonRestore()
                ),
            )
        except Exception as error:  # damage shows as whatever the part that was hit raises
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise WorkdirError(f"{self._folder / str(step)}: cannot be restored: {reason}") from error
        # A flipped bit may pass the storage's own checks.
        if _sha256(found.state) != found.content["sha256"]:
            raise WorkdirError(f"{self._folder / str(step)}: its content differs from what was saved")
        return found.state

    def restore_latest(self, like: PyTree, until: int | None = None) -> tuple[int, PyTree] | None:
        """(step, state) of the newest checkpoint that is whole, or None if there is no checkpoint.

        Damaged newer ones are warned of and moved to a folder 'damaged' beside the checkpoints.

        Args:
          like: a state.
          until: leave out checkpoints after this step; None: none of them.

        Raises:
          WorkdirError: there are checkpoints, but none is whole.
        """
        failures: list[tuple[int, WorkdirError]] = []
        for step in reversed([step for step in self.steps() if until is None or step <= until]):
            try:
                state = self.restore(step, like)
            except WorkdirError as error:
                logging.error("Damaged checkpoint, trying the one before: %s", error)
                failures.append((step, error))
                continue
            self._set_aside([step for step, _ in failures])
            return step, state
        if failures:
            raise WorkdirError(
                f"{self._folder}: none of {len(failures)} checkpoints can be restored; "
                f"the newest: {failures[0][1]}"
            )
        return None

    def _set_aside(self, steps: list[int]) -> None:
        if steps and jax.process_index() == 0:
            damaged = self._folder.parent / "damaged"
            damaged.mkdir(exist_ok=True)
            for step in steps:
                target = damaged / f"{step}"
                while target.exists():
                    target = target.with_name(f"{target.name}_")
                os.replace(self._folder / str(step), target)
        if steps:
            multihost_utils.sync_global_devices("set_aside")
            self._manager.reload()

    def wait(self) -> None:
        """Returns when everything saved is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and lets go of the folder."""
        self._manager.close()


def _sha256(state: PyTree) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        leaf = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
