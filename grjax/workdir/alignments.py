"""Whether training examples help held-out data: alignment_STEP.npz in a run's folder.

A file holds, in the order of the examples in noise.npz,

  p           float32 [N], softmax probability of the given label at this step
  alignments  float32 [F, N], by each of F parts of the held-out examples; their mean is the alignment
  split       str [], name of the held-out split
  examples    int64 [], how many it has
"""

import dataclasses
from pathlib import Path

import numpy as np

from grjax.errors import WorkdirError
from grjax.workdir import layout
from grjax.workdir.files import read_npz, write_npz


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How far a step on each training example helps held-out data, at one step of a run.

    Attributes:
      step: of the checkpoint.
      p: softmax probability of the given label, float32 [N].
      alignments: see `grjax.analysis.alignment.measure_alignment`, float32 [F, N]: by each of F parts of the
        held-out examples. Their mean is the alignment with all of these.
      split: name of the held-out split, 'validation_noisy' where its labels are noisy.
      examples: how many examples it has.
    """

    step: int
    p: np.ndarray
    alignments: np.ndarray
    split: str
    examples: int


def keep(workdir: Path, alignment: Alignment) -> Path:
    """Writes alignment_STEP.npz, whole or not at all; returns its path."""
    path = workdir / layout.alignment(alignment.step)
    arrays = {key: np.asarray(each) for key, each in vars(alignment).items() if key != "step"}
    write_npz(path, arrays)
    return path


def kept_steps(workdir: Path) -> list[int]:
    """The steps there are alignments of, ascending."""
    stems = (path.stem.removeprefix("alignment_") for path in workdir.glob(layout.alignment("*")))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def read(workdir: Path, examples: int) -> list[Alignment]:
    """All alignments that are kept of a run, by step.

    Args:
      workdir: of the run.
      examples: how many training examples it has.

    Raises:
      WorkdirError: a file is damaged, or of other examples.
    """
    found = []
    for step in kept_steps(workdir):
        path = workdir / layout.alignment(step)
        arrays = read_npz(path)
        try:
            alignment = Alignment(
                step, arrays["p"], arrays["alignments"], str(arrays["split"]), int(arrays["examples"])
            )
        except KeyError as error:
            raise WorkdirError(f"{path}: is damaged: {error} is missing") from error
        if alignment.p.shape != (examples,) or alignment.alignments.shape[1:] != (examples,):
            raise WorkdirError(
                f"{path}: is of {len(alignment.p)} training examples, noise.npz of {examples}; "
                "`grjax evaluate --alignment` writes it again"
            )
        found.append(alignment)
    return found
