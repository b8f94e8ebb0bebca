"""Copies the pages for the site; links that leave docs/ lead to a page that shows the file.

A link in a page is relative to the checkout, so that it works where the repository is browsed. On the site
the README is the first page, and a linked source file is a page with its text.
"""

import ast
import json
import os
import re
import shutil
from pathlib import Path

from latex2mathml.converter import convert

ROOT = Path(__file__).parent.parent
# Pages that lie elsewhere in the checkout.
PLACES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def stage(target: Path) -> None:
    """Writes every hand-written page, its figures and data below `target`.

    Args:
      target: a folder that is emptied first.

    Raises:
      FileNotFoundError: a link of a page leads to nothing.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target)
    shutil.copy(Path(__file__).parent / "site.css", target)
    pages = [Path(name) for name in PLACES]
    pages += sorted(path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md"))
    sources: set[Path] = set()
    for page in pages:
        text = _with_links(page, (ROOT / page).read_text(), sources)
        (target / _place(page)).write_text(_with_formulas(text))
    for source in sources:
        place = target / _place(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_source_page(source))


def _place(path: Path) -> str:
    """Where a file of the checkout is on the site, relative to its root."""
    name = path.as_posix()
    if name in PLACES:
        return PLACES[name]
    if path.parts[0] == "docs":
        return path.relative_to("docs").as_posix()
    return f"source/{name}.md"


def _with_links(page: Path, text: str, sources: set[Path]) -> str:
    """The page with its links as they are on the site; `sources` gets the files that are linked."""

    def replaced(match: re.Match[str]) -> str:
        link = match[2]
        if re.match(r"[a-z]+:", link):
            return match[0]
        linked = Path(os.path.normpath(page.parent / link))
        if not (ROOT / linked).exists():
            raise FileNotFoundError(f"{page}: the link {link} leads to nothing")
        if linked.parts[0] != "docs" and linked.as_posix() not in PLACES:
            sources.add(linked)
        place = os.path.relpath(_place(linked), Path(_place(page)).parent)
        return f"{match[1]}{place}{match[3]}"

    return _LINK.sub(replaced, text)


def _with_formulas(text: str) -> str:
    """Displayed LaTeX as MathML, which browsers draw themselves."""
    return re.sub(
        r"^\$\$(.+?)\$\$$",
        lambda match: f'<div class="formula">{convert(match[1], display="block")}</div>',
        text,
        flags=re.MULTILINE | re.DOTALL,
    )


def _source_page(source: Path) -> str:
    """A page that shows a file, or lists the modules of a folder."""
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {source.as_posix()}\n\n"
    path = ROOT / source
    if path.is_dir():
        rows = [f"| `{module.name}` | {_first_line(module)} |" for module in sorted(path.glob("*.py"))]
        return head + "\n".join(["| file | |", "|---|---|", *rows]) + "\n"
    if source.suffix == ".ipynb":
        front_matter, _ = head.split("# ", 1)  # a notebook has a heading of its own
        return front_matter + _notebook(path.read_text())
    language = {".py": "python", ".toml": "toml"}.get(source.suffix, "text")
    return f"{head}````{language}\n{path.read_text()}````\n"


def _notebook(text: str) -> str:
    """The cells of a notebook, without outputs, as Markdown."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(f"```python\n{code}\n```" if kind == "code" else code for kind, code in cells) + "\n"


def _first_line(module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")
