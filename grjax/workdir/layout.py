"""The files of a run's folder.

config.json        the run's config
environment.json   versions and devices, an entry for each start
noise.npz          ids, clean and noisy labels of the training examples
noise.json         where they come from: convention, seed, rates, transition counts, hash, names of classes
metrics.jsonl      a row for each evaluation
predictions/       N.npz: what was predicted for each example at step N, see `grjax.workdir.predictions`
checkpoints/       the latest states
dynamics.npz       at the end of the run: how each training example was learned, see `grjax.dynamics`
loggers.json       ids of the run in Weights & Biases and MLflow, where it is logged there
profile/           traces of the steps that `config.profile` names
summary.json       the end of the run; a run without it is not finished
.lock              held while a process trains there
    evaluation_N.json  what `--mode=evaluate` found at step N
    alignment_N.npz    which examples help held-out data at step N, by `--mode=evaluate --alignment`
    audit.*, cleaned_labels.npz, target_labels.npz  what `--mode=audit` found, and exports
    tune.json, tune.md, tune/  `--mode=tune`: how the config was chosen, and the runs it was chosen from
    noise.csv, .png, .svg  `--mode=noise`: the labels as text, and their transition matrix drawn
    report.html, report/   `--mode=report`: the run on a page, and each of its figures
"""

CONFIG = "config.json"
ENVIRONMENT = "environment.json"
NOISE = "noise.npz"
NOISE_SUMMARY = "noise.json"
METRICS = "metrics.jsonl"
PREDICTIONS = "predictions"
CHECKPOINTS = "checkpoints"
DYNAMICS = "dynamics.npz"
PROFILE = "profile"
SUMMARY = "summary.json"
LOCK = ".lock"
TENSORBOARD = "tensorboard"
LOGGERS = "loggers.json"
TRIALS = "trials"  # in the folder of a sweep: a run in each of its folders
ARRAYS = "own.npz"  # what `grjax.fit` was given to train on
CLEANED_LABELS = "cleaned_labels.npz"
TUNE = "tune"  # a folder
TUNED = "tune.json"
TUNED_PAGE = "tune.md"
TARGET_LABELS = "target_labels.npz"


def evaluation(step: int) -> str:
    """The file of `--mode=evaluate` at `step`."""
    return f"evaluation_{step}.json"


def alignment(step: int | str) -> str:
    """The file of `--mode=evaluate --alignment` at `step`."""
    return f"alignment_{step}.npz"
