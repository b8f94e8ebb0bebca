"""Reading CSV files as people have them: one reader for all that grjax takes."""

import codecs
import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from grjax.errors import ConfigError

_SEPARATORS = ",;\t"
_MARKS = {  # how a file begins that says its encoding; others are UTF-8
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclasses.dataclass(frozen=True)
class TextTable:
    """The rows of a CSV file below its header, as text without blanks around it.

    Attributes:
      columns: by name, in lower case: lists of N.
      lines: the number in the file of the line in which each row ends, from 1: [N].
    """

    columns: dict[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def found(self) -> str:
        """The names of the columns, for an error."""
        return ", ".join(map(repr, self.columns)) or "nothing"


def read(path: Path, where: str) -> TextTable:
    """Reads a CSV file with a header.

    It may begin with a byte-order mark, in UTF-8 or UTF-16; its lines may end in any way, and lines that are
    blank do not count. The separator is a comma, a semicolon or a tab, whichever the header has. Names of
    columns count in any case, and blanks around a value do not.

    Args:
      path: of the file.
      where: what names the file, to begin an error.

    Raises:
      ConfigError: it cannot be read as text, a row has more or fewer values than the header, or two columns
        have the same name.
    """
    try:
        content = path.read_bytes()
        encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
        text = content.decode(encoding)
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is no text in UTF-8, save it as that: {error}") from error
    header_line = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=header_line.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if any(values):
                rows.append(values)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ConfigError(f"{where}: line {reader.line_num} is no CSV: {error}") from error
    if not rows:
        return TextTable({}, [])
    header = [name.lower() for name in rows[0]]
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise ConfigError(
                f"{where}: line {line} must have {len(header)} values as the header has, got {len(row)}"
            )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ConfigError(f"{where}: has more than one column {twice[0]!r}; their names must differ")
    columns = {name: [row[k] for row in rows[1:]] for k, name in enumerate(header)}
    return TextTable(columns, lines[1:])


def require(table: TextTable, names: Sequence[str], where: str) -> None:
    """Raises `ConfigError`, which says which columns there are, unless the table has these."""
    if not set(names) <= table.columns.keys():
        wanted = " and ".join(map(repr, names))
        raise ConfigError(f"{where}: must have columns {wanted} in its header, found {table.found}")
