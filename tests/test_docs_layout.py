"""The documentation: pages, figures and data lie apart, links lead to files, every result is listed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def links(page):
    """The relative links of a page, without anchors."""
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


def test_pages_figures_and_data_are_apart():
    suffixes = {"figures": {".svg", ".png"}, "results/data": {".json"}}
    for path in filter(Path.is_file, DOCS.rglob("*")):
        folder = path.relative_to(DOCS).parent.as_posix()
        folder = "figures" if folder.startswith("figures") else folder
        assert path.suffix in suffixes.get(folder, {".md"}), path


def test_every_figure_and_every_file_of_data_is_on_a_page():
    linked = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    kept = [*(DOCS / "figures").rglob("*.*"), *(DOCS / "results" / "data").iterdir()]
    assert [path.name for path in kept if path.resolve() not in linked] == []


def test_every_page_of_results_is_listed_with_its_verdict():
    lines = (DOCS / "results" / "index.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| [")]
    listed = [re.search(r"\]\(([^)#]+)", row[0])[1] for row in rows]
    pages = {page.name for page in DOCS.glob("results/*.md")} - {"index.md"}
    assert sorted(link for link in listed if not link.startswith("..")) == sorted(pages)
    assert {row[2] for row in rows} <= {"reproduced", "partly", "not", "measured"}
    assert all(row[3] for row in rows)
