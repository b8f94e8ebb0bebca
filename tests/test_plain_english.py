"""Phrases that must be read twice do not come back; each has a plain wording."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "configs", "docs", "examples", "grjax", "tests", "website")
# The phrase, and what to write for it.
PLAIN = {
    r"\b[Ll]ikewise\b": "'the same', 'too', or the thing by its name",
    r"\bis none of (its|these|those)\b": "'is not one of'",
    r"[\w)`], but for (the|that|those|its|lengths|[A-Z`])": "'except'",
    r"\bimplausibl": "'unlikely', of a label",
    r"\bstop pulling\b": "'stop contributing to the gradient'",
    r"\b(stays?|left|leaves?) as (it|they) (is|are|was|were)\b(?! by)": "'unchanged'",
    r'^\s*("""|# )Of (a|an|the|each|all|some|one|what|its|those)\b': "the noun that is meant",
}
NAMES = r"^\s+(mine|theirs|said)(, \w+)* ="  # nouns are better names; tests may compare ours and theirs


def test_no_phrase_that_must_be_read_twice():
    paths = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*"))]
    texts = (
        path for path in paths if path.suffix in (".py", ".md", ".html") and path.name != Path(__file__).name
    )
    lines = [(path, line) for path in texts for line in path.read_text().splitlines()]
    assert len(lines) > 10_000
    complaints = [
        f"{path.relative_to(ROOT)}: {line.strip()}: write {plain}"
        for phrase, plain in PLAIN.items()
        for path, line in lines
        if re.search(phrase, line)
    ]
    complaints += [
        f"{path.relative_to(ROOT)}: {line.strip()}: write a noun"
        for path, line in lines
        if re.search(NAMES, line) and path.parent != ROOT / "tests"
    ]
    assert complaints == []
