"""A table of Markdown, as the pages in docs/results have them."""

from collections.abc import Callable, Iterable, Sequence


def grid(rows: Iterable[str], columns: Sequence[str], text: Callable[[str, str], str]) -> str:
    """Rows by columns, each headed by its name; `text` says what stands in a cell."""
    lines = [f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    lines += [f"| {row} | {' | '.join(text(row, column) for column in columns)} |" for row in rows]
    return "\n".join(lines)
