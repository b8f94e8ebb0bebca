"""Builds the documentation site: `python -m website.build`, then open build/site/html/index.html.

Three steps: `staging` copies the hand-written pages, `reference` writes the generated ones, Zensical makes
HTML of all. A link to nothing, an unknown anchor or a public name without a docstring ends the build.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from website.reference import generate
from website.staging import ROOT, stage

FOLDER = ROOT / "build" / "site"


def main() -> None:
    """The command line."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    pages = FOLDER / "pages"
    stage(pages)
    generate(pages)
    settings = yaml.safe_load((Path(__file__).parent / "mkdocs.yml").read_text())
    settings |= {"docs_dir": "pages", "site_dir": "html", "nav": navigation(settings["nav"], pages)}
    settings["plugins"][1]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT)]
    (FOLDER / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", str(FOLDER / "mkdocs.yml")],
        cwd=FOLDER,
        env=os.environ | {"PYTHONPATH": str(ROOT)},  # of `website.docstrings`
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        # Its messages are coloured in a file, too.
        sys.exit(re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr))
    print(FOLDER / "html" / "index.html")


def navigation(nav: list[Any], pages: Path) -> list[Any]:
    """The navigation with titles, and with the pages that `*.md` stands for.

    Args:
      nav: as in mkdocs.yml. `folder/*.md` stands for the pages of a folder that no other entry names; a page
        that does not exist is left out.
      pages: the folder of all pages.
    """
    named = set(_named(nav))
    return _expanded(nav, pages, named)


def _named(nav: list[Any]) -> list[str]:
    entries = [entry if isinstance(entry, str) else next(iter(entry.values())) for entry in nav]
    return [page for entry in entries for page in (_named(entry) if isinstance(entry, list) else [entry])]


def _expanded(nav: list[Any], pages: Path, named: set[str]) -> list[Any]:
    expanded: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, below),) = entry.items()
            expanded.append({title: _expanded(below, pages, named)})
        elif entry.endswith("*.md"):
            folder = pages / Path(entry).parent
            paths = (path.relative_to(pages).as_posix() for path in sorted(folder.glob("*.md")))
            expanded += [{_title(pages / path): path} for path in paths if path not in named]
        elif (pages / entry).exists():
            expanded.append({_title(pages / entry): entry})
    return expanded


def _title(page: Path) -> str:
    heading = re.search(r"^# (.+)$", page.read_text(), flags=re.MULTILINE)
    assert heading, f"{page} has no heading"
    return heading[1]


if __name__ == "__main__":
    main()
