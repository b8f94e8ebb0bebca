"""An audit to look at: pages of suspected examples, each with its image and p over training.

A page needs nothing beside it: images are inside as PNG, curves as SVG, and there is no script.
"""

import base64
import html
import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from grjax.analysis.suspects import Audit
from grjax.data import ImageFiles
from grjax.workdir.files import write_text

_PER_PAGE = 200
_MOST_PAGES = 10  # audit.csv has them all
_AT_LEAST = 50  # examples to look at, where fewer are suspected
_THUMBNAIL = 96  # pixels; larger images are made smaller

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #5f6368; --paper: #fff; --card: #f4f4f6;
  --line: #0b62c4; --wrong: #b3261e; --right: #1b6e3c; --grid: #c9c9cf; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececef; --soft: #a6a8ad; --paper: #141416;
  --card: #222226; --line: #7db7ff; --wrong: #ff9a90; --right: #7fd6a1; --grid: #48484f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 80rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.4 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .5rem; }
p { color: var(--soft); max-width: 46rem; }
nav a { display: inline-block; padding: .3rem .6rem; color: var(--line); }
ol { list-style: none; padding: 0; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
li { background: var(--card); border-radius: .6rem; padding: .6rem; font-size: .875rem;
  overflow-wrap: anywhere; }
li img { display: block; width: 6rem; height: 6rem; object-fit: contain; margin: 0 auto .4rem; }
li img.small { image-rendering: pixelated; }
svg { display: block; width: 100%; height: 2.6rem; margin-top: .3rem; }
svg path { fill: none; stroke: var(--line); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
svg line { stroke: var(--grid); vector-effect: non-scaling-stroke; }
.given { color: var(--wrong); } .suggested { color: var(--right); font-weight: 600; }
small { color: var(--soft); display: block; overflow-wrap: anywhere; }
"""


def write(audit: Audit, images: np.ndarray | ImageFiles, folder: Path, title: str) -> list[Path]:
    """Writes audit.html, and audit_2.html ... where there are more suspects than fit; removes older pages.

    Args:
      audit: of the examples of `images`.
      images: uint8 or float32 [N, height, width, C]; of features, [N, 1, 1, D], none are shown.
      folder: of the pages.
      title: over them.

    Returns:
      Paths of the pages.
    """
    shown = audit.ranking[: max(int(audit.suspected.sum()), _AT_LEAST)]
    pages = [shown[i : i + _PER_PAGE] for i in range(0, len(shown), _PER_PAGE)][:_MOST_PAGES]
    names = ["audit.html"] + [f"audit_{number}.html" for number in range(2, len(pages) + 1)]
    for old in folder.glob("audit_[0-9]*.html"):
        if old.name not in names:
            old.unlink()
    for number, (name, positions) in enumerate(zip(names, pages, strict=True)):
        links = "".join(
            f"<b>{n + 1}</b> " if n == number else f'<a href="{other}">{n + 1}</a> '
            for n, other in enumerate(names)
        )
        cards = "\n".join(
            _card(audit, images, i, number * _PER_PAGE + k + 1) for k, i in enumerate(positions)
        )
        write_text(
            folder / name, _page(audit, title, f"<nav>Page {links}</nav>" if len(pages) > 1 else "", cards)
        )
    return [folder / name for name in names]


def _page(audit: Audit, title: str, links: str, cards: str) -> str:
    number, total = int(audit.suspected.sum()), len(audit.ids)
    relabelled, kept = audit.relabelling
    replaced = int(relabelled.sum())
    reasons = html.escape(" ".join(f"{reason[0].upper()}{reason[1:]}." for reason in kept))
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Suspected labels: {html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
<h1>Suspected labels: {html.escape(title)}</h1>
<p>{number} of {total} labels are suspected, {audit.noise_rate:.1%}. The most suspect come first. Each curve
is the probability of the given label over training, from step 0 to {int(audit.steps[-1])}; the dotted line is
one half. All examples, with more evidence, are in audit.csv and audit.jsonl.</p>
<p>An export puts the suggestion in place of {replaced} of them. {reasons}</p>
{links}
<ol>
{cards}
</ol>
{links}
</html>
"""


def _card(audit: Audit, images: np.ndarray | ImageFiles, position: int, rank: int) -> str:
    given = html.escape(audit.class_names[audit.given[position]])
    suggested = html.escape(audit.class_names[audit.suggested[position]])
    verdict = "" if audit.suspected[position] else "<small>not suspected</small>"
    evidence = [f"score {audit.score[position]:.3f}"]
    if not math.isnan(audit.aum[position]):
        evidence += [f"margin {audit.aum[position]:.2f}", _learned(audit.forgetting[position])]
    if not math.isnan(audit.kept[position]):
        evidence.append(f"kept {audit.kept[position]:.0%} of the time")
    place = f"id {audit.ids[position]}"
    file = images.file_name(position) if isinstance(images, ImageFiles) else None
    if file is not None:
        place += f", {html.escape(file)}"
    return (
        f"<li>{_picture(images, position, f'example {audit.ids[position]}, given {given}')}"
        f'<span class="given">{given}</span> → <span class="suggested">{suggested}</span>{verdict}'
        f"<small>{rank}. {place}</small><small>{', '.join(evidence)}</small>"
        f"{_curve(audit.curves[:, position])}</li>"
    )


def _learned(forgetting: float) -> str:
    return "never learned" if forgetting < 0 else f"forgotten {forgetting:.0f} times"


def _picture(images: np.ndarray | ImageFiles, position: int, description: str) -> str:
    """The image inside the page; nothing for features."""
    if images.shape[1:3] == (1, 1):
        return ""
    pixels = images[np.array([position])][0]
    least, most = float(pixels.min()), float(pixels.max())
    if pixels.dtype != np.uint8 or most < 64:  # of digits, whose pixels go to 16
        pixels = ((pixels - least) * (255 / max(most - least, 1e-9))).astype(np.uint8)
    shown = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., 0]
    image = Image.fromarray(shown)
    small = max(image.size) <= _THUMBNAIL
    if not small:
        image.thumbnail((2 * _THUMBNAIL, 2 * _THUMBNAIL))  # sharp on dense screens
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    encoded = base64.b64encode(data.getvalue()).decode()
    kind = ' class="small"' if small else ""
    return f'<img{kind} alt="{description}" src="data:image/png;base64,{encoded}">'


def _curve(p: np.ndarray) -> str:
    """The p at each evaluation, drawn over 100 x 30 with 1 at the top."""
    x = np.linspace(0, 100, len(p)) if len(p) > 1 else np.array([0.0])
    points = " L".join(f"{a:.1f},{29 - 28 * float(b):.1f}" for a, b in zip(x, p, strict=True))
    return (
        '<svg viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label="p over training">'
        f'<line x1="0" x2="100" y1="15" y2="15" stroke-dasharray="2 3"/><path d="M{points}"/></svg>'
    )
