"""An audit as files: audit.csv for spreadsheets, audit.jsonl for programs, and cleaned labels to train on."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from grjax.analysis.suspects import Audit
from grjax.data.dataset import Images
from grjax.data.image_files import ImageFiles
from grjax.workdir.files import write_npz, write_text

_DIGITS = 6  # of fractions in the files


def rows(audit: Audit, images: Images) -> list[dict[str, Any]]:
    """A row for each example, the most suspect first; `images` are those of the audit's examples."""
    files = images if isinstance(images, ImageFiles) else None
    relabelled = audit.relabelling.relabelled
    found = []
    for rank, i in enumerate(audit.ranking.tolist(), start=1):
        found.append(
            {
                "rank": rank,
                "id": int(audit.ids[i]),
                "file": None if files is None else files.file_name(i),
                "given": audit.class_names[audit.given[i]],
                "suggested": audit.class_names[audit.suggested[i]],
                "suspected": bool(audit.suspected[i]),
                "relabelled": bool(relabelled[i]),
                "given_label": int(audit.given[i]),
                "suggested_label": int(audit.suggested[i]),
                **{
                    key: _known(round(float(getattr(audit, key)[i]), _DIGITS))
                    for key in ("score", "p_wrong", "mean_p", "last_p", "aum", "kept")
                },
                "forgetting": None if np.isnan(audit.forgetting[i]) else int(audit.forgetting[i]),
            }
        )
    return found


def write(audit: Audit, images: Images, folder: Path) -> None:
    """Writes audit.csv, and audit.jsonl, which has p at each evaluation, too."""
    table = rows(audit, images)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(folder / "audit.csv", text.getvalue())
    curves = np.round(audit.curves.T.astype(np.float64), 4)[audit.ranking].tolist()
    lines = [json.dumps({**row, "p": curve}) for row, curve in zip(table, curves, strict=True)]
    write_text(folder / "audit.jsonl", "\n".join(lines) + "\n")


def export(ids: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Writes labels as a file that noise.name='file' trains on: ids, labels."""
    write_npz(path, {"ids": ids, "labels": labels})


def _known(value: float) -> float | None:
    """None for what is not known: JSON has no NaN."""
    return None if math.isnan(value) else value
