"""Finding wrong labels: audits by Gradient Rescaling, of one run and of five folds, beside cleanlab.

  python -m benchmarks.audit find --data=digits
  python -m benchmarks.audit find --data=fashion_mnist --dir=/usr/share/datasets       on 3,000 examples
  python -m benchmarks.audit export --data=digits           labels that are right, before and after an export
  python -m benchmarks.audit export --data=fashion_mnist --dir=/usr/share/datasets     on 3,000 examples
  python -m benchmarks.audit retrain                        digits: train, audit, export, train again
  python -m benchmarks.audit dynamics                       what collecting them costs a train step

Needs cleanlab (the extra 'dev'), which is used as its users do: probabilities from five-fold cross-validation
of the same network in the same settings, but with cross-entropy and a third and a tenth of the learning
rate, then `find_label_issues` and `get_label_quality_scores`. Stores docs/results/data/audit_*.json; export
and retrain go on with what is stored there.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

import jax
import numpy as np
from absl import logging
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from benchmarks.digits import run, spread
from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from grjax import analysis, data, devices, experiment, noise
from grjax import config as config_lib
from grjax.analysis.audit_run import audit_run
from grjax.errors import require
from grjax.estimator import GRClassifier
from grjax.evaluate import device_data
from grjax.fit import recipe

CASES = tuple(itertools.product(("symmetric", "pair_flip"), (0.2, 0.4)))
EXPORTED = (("symmetric", 0.0), *CASES, ("instance_dependent", 0.4))
EPOCHS = {"digits": 40.0, "fashion_mnist": 20.0}
FASHION_EXAMPLES = 3000


def find(name: str, dir: str | None, seeds: range, store: bool) -> list[dict[str, Any]]:
    """Each case of noise and seed by each method: how well its score tells wrong labels from right ones."""
    require("cleanlab", "dev")
    train, features = _vectors(name, dir, first=0)
    results = []
    for seed, (kind, rate) in itertools.product(seeds, CASES):
        noisy = noise.create(kind, rate=rate, seed=seed)(train.labels, 10, train.ids)
        learning_rate = recipe(len(features), 10, features=True)["optimizer"]["learning_rate"]
        row = {"data": name, "noise": kind, "rate": rate, "seed": seed}
        for method, folds in (("audit, one run", None), ("audit, five folds", 5)):
            begun = time.monotonic()
            epochs = {"train_epochs": EPOCHS[name]}
            audit = analysis.audit(features, noisy.labels, epochs, folds=folds, seed=seed)
            found = _worth(noisy.mislabelled, 1 - audit.score, audit.suspected)
            results.append({**row, "method": method, **found, "seconds": time.monotonic() - begun})
            _print(results[-1])
        for divisor in (3, 10):
            begun = time.monotonic()
            found = _cleanlab(features, noisy, EPOCHS[name], learning_rate / divisor, seed)
            method = f"cleanlab, learning rate {learning_rate / divisor:g}"
            results.append({**row, "method": method, **found, "seconds": time.monotonic() - begun})
            _print(results[-1])
        if store:  # what is done, should the rest not be
            _store(f"find_{name}", results)
    return results


def _vectors(name: str, dir: str | None, first: int) -> tuple[data.Split, np.ndarray]:
    """The training examples, and their images as vectors: an MLP costs a tenth of the CNN."""
    train = data.load(name, dir=dir).splits["train"]
    if name == "fashion_mnist":
        train = train.take(np.arange(first, first + FASHION_EXAMPLES))
    return train, np.asarray(train.images).reshape(len(train), -1).astype(np.float32)


def export(name: str, dir: str | None, seeds: range, store: bool) -> list[dict[str, Any]]:
    """Each case and seed: how many labels are right as given, with every suggestion, and as exported."""
    train, features = _vectors(name, dir, first=20_000)  # others than the rules were first tried on
    results = _stored(f"export_{name}") if store else []
    done = {(row["noise"], row["rate"], row["seed"], row["folds"]) for row in results}
    for seed, (kind, rate), folds in itertools.product(seeds, EXPORTED, (None, 5)):
        if (kind, rate, seed, folds) in done:
            continue
        noisy = noise.create(kind, rate=rate, seed=seed)(train.labels, 10, train.ids, train.images)
        audit = analysis.audit(features, noisy.labels, {"train_epochs": EPOCHS[name]}, folds=folds, seed=seed)
        right = {
            key: float((labels == train.labels).mean())
            for key, labels in (
                ("given", audit.given),
                ("suggestions", audit.corrected),
                ("exported", audit.cleaned_labels),
            )
        }
        counts = {key: audit.summary()[key] for key in ("num_suspected", "num_relabelled", "kept_as_given")}
        row = {"data": name, "noise": kind, "rate": rate, "seed": seed, "folds": folds, **right, **counts}
        results.append(row)
        _print(row)
        if store:
            _store(f"export_{name}", results)
    _print_export(results)
    return results


def _print_export(results: list[dict[str, Any]]) -> None:
    keys = ("given", "suggestions", "exported")
    print(f"| noise | folds | seeds | {' | '.join(keys)} | least exported - given | runs relabelled |")
    print("|---|---|---|" + "---|" * (len(keys) + 2))
    for (kind, rate), folds in itertools.product(EXPORTED, (None, 5)):
        rows = [row for row in results if (row["noise"], row["rate"], row["folds"]) == (kind, rate, folds)]
        if rows:
            cells = [spread([row[key] for row in rows]) for key in keys]
            least = min(row["exported"] - row["given"] for row in rows)
            some = sum(row["num_relabelled"] > 0 for row in rows)
            print(
                f"| {kind} {rate:.0%} | {folds or 'one run'} | {len(rows)} | {' | '.join(cells)} "
                f"| {least:+.3f} | {some} of {len(rows)} |"
            )


def _cleanlab(
    features: np.ndarray, noisy: noise.NoisyLabels, epochs: float, learning_rate: float, seed: int
) -> dict[str, float]:
    from cleanlab.filter import find_label_issues  # an extra
    from cleanlab.rank import get_label_quality_scores

    other = {
        "loss.name": "cross_entropy",
        "optimizer.learning_rate": learning_rate,
        "eval_every_epochs": epochs,  # once
    }
    model = GRClassifier(epochs=epochs, config=other, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    p = cross_val_predict(model, features, noisy.labels, cv=folds, method="predict_proba")
    p = p / p.sum(1, keepdims=True)
    quality = get_label_quality_scores(noisy.labels, p)
    return _worth(noisy.mislabelled, quality, find_label_issues(noisy.labels, p, n_jobs=1))


def _worth(wrong: np.ndarray, quality: np.ndarray, suspected: np.ndarray) -> dict[str, float]:
    worst = np.argsort(quality, kind="stable")[: wrong.sum()]
    return {
        "auroc": float(roc_auc_score(wrong, -quality)),
        "average_precision": float(average_precision_score(wrong, -quality)),
        "precision_at_noise_rate": float(wrong[worst].mean()),
        "suspected_precision": float((suspected & wrong).sum() / max(suspected.sum(), 1)),
        "suspected_recall": float((suspected & wrong).sum() / wrong.sum()),
    }


def table(results: list[dict[str, Any]]) -> None:
    """Prints mean ± standard deviation over the seeds."""
    keys = (
        "auroc",
        "average_precision",
        "precision_at_noise_rate",
        "suspected_precision",
        "suspected_recall",
    )
    print(f"| noise | method | {' | '.join(key.replace('_', ' ') for key in keys)} |")
    print("|---|---|" + "---|" * len(keys))
    for kind, rate in CASES:
        for method in dict.fromkeys(row["method"] for row in results):
            rows = [
                row for row in results if (row["noise"], row["rate"], row["method"]) == (kind, rate, method)
            ]
            cells = [spread([row[key] for row in rows]) for key in keys]
            print(f"| {kind} {rate:.0%} | {method} | {' | '.join(cells)} |")


def retrain(seeds: range, store: bool) -> list[dict[str, Any]]:
    """Digits by configs/digits.py: on noisy labels, on those that its audit exports, on the right ones."""
    results = _stored("retrain") if store else []
    done = {(row["noise"], row["rate"], row["seed"]) for row in results}
    for (kind, rate), seed in itertools.product(CASES, seeds):
        if (kind, rate, seed) in done:
            continue
        with tempfile.TemporaryDirectory() as folder:
            workdir = Path(folder) / "run"
            before = run({"noise": {"name": kind, "rate": rate}}, seed, workdir)
            found = audit_run(workdir, export=True)["against_truth"]
            cleaned = {"noise": {"name": "file", "path": str(workdir / "cleaned_labels.npz")}}
            after = run(cleaned, seed)
        right = run({"noise.rate": 0.0}, seed)
        accuracy = {
            key: summary["test_accuracy_last"]
            for key, summary in (("noisy", before), ("cleaned", after), ("right", right))
        }
        results.append(
            {
                "noise": kind,
                "rate": rate,
                "seed": seed,
                **accuracy,
                "labels_given_right": found["given_accuracy"],
                "labels_right": found["cleaned_accuracy"],
            }
        )
        print(results[-1], flush=True)
        if store:
            _store("retrain", results)
    print(
        "| noise | trained on noisy labels | on exported ones | on the right ones | given labels right "
        "| exported labels right |"
    )
    print("|---|---|---|---|---|---|")
    columns = ("noisy", "cleaned", "right", "labels_given_right", "labels_right")
    for kind, rate in CASES:
        rows = [row for row in results if (row["noise"], row["rate"]) == (kind, rate)]
        cells = [spread([row[key] for row in rows]) for key in columns]
        print(f"| {kind} {rate:.0%} | {' | '.join(cells)} |")
    return results


def dynamics(rounds: int, steps_a_round: int = 40) -> dict[str, Any]:
    """The digits train step with and without dynamics, alternating; the median of the ratios of rounds.

    In processor time of all threads, which other programs on the machine disturb less than wall time.
    """
    calls: dict[bool, Any] = {}
    for collected in (True, False):
        layer = {"loss": {"name": "gradient_rescaling", "lam": 1.0, "beta": 16.0}, "dynamics": collected}
        parts = experiment.create(config_lib.resolve(layer))
        step = devices.parallelize(parts.train_step(), donate_state=True)
        batches = list(map(devices.spread, itertools.islice(parts.train_batches(0), steps_a_round)))
        calls[collected] = [step, devices.replicate(parts.init_state()), device_data(parts), batches]
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds + 1):  # the first compiles
        for collected in (True, False) if number % 2 else (False, True):
            step, state, on_device, batches = calls[collected]
            begun = time.process_time()
            for batch in batches:
                state, metrics = step(state, on_device, batch)
                jax.block_until_ready(metrics)
            calls[collected][1] = state
            seconds[collected].append((time.process_time() - begun) / steps_a_round)
    ratios = [a / b for a, b in zip(seconds[True][1:], seconds[False][1:], strict=True)]
    result = {
        "milliseconds_without": 1e3 * statistics.median(seconds[False][1:]),
        "milliseconds_with": 1e3 * statistics.median(seconds[True][1:]),
        "ratio_median": statistics.median(ratios),
        "ratio_of_least": min(seconds[True][1:]) / min(seconds[False][1:]),
        "rounds": rounds,
        "bytes_an_example": 32,
    }
    print(result)
    return result


def _stored(name: str) -> list[dict[str, Any]]:
    path = RESULTS / f"audit_{name}.json"
    return json.loads(path.read_text())["results"] if path.exists() else []


def _store(name: str, results: Any) -> None:
    stored = {"environment": environment(), "results": results}
    (RESULTS / f"audit_{name}.json").write_text(json.dumps(stored, indent=1) + "\n")


def _print(row: dict[str, Any]) -> None:
    print(*(f"{value:.4f}" if isinstance(value, float) else value for value in row.values()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["find", "export", "retrain", "dynamics"])
    parser.add_argument("--data", choices=list(EPOCHS), default="digits")
    parser.add_argument("--dir", help="the data set's files; see grjax.data.load")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()
    logging.set_verbosity(logging.ERROR)
    seeds, name = range(flags.first_seed, flags.first_seed + flags.seeds), flags.what
    results: Any
    if flags.what == "find":
        results, name = find(flags.data, flags.dir, seeds, not flags.no_store), f"find_{flags.data}"
        table(results)
    elif flags.what == "export":
        results, name = export(flags.data, flags.dir, seeds, not flags.no_store), f"export_{flags.data}"
    elif flags.what == "retrain":
        results = retrain(seeds, not flags.no_store)
    else:
        results = dynamics(flags.rounds)
    if not flags.no_store:
        _store(name, results)


if __name__ == "__main__":
    main()
