"""The shipped configs: `grjax.configs.digits` is configs/digits.py.

They lie at the top of a checkout; an installed package has them in a folder beside this file. Either is
where this module, which is a package by its `__path__`, finds them.
"""

from pathlib import Path

_HERE = Path(__file__)
FOLDER = next(folder for folder in (_HERE.with_suffix(""), _HERE.parents[1] / "configs") if folder.is_dir())
__path__ = [str(FOLDER)]


def names() -> list[str]:
    """What `--config NAME` may be, in the order of the alphabet.

    Example:
      >>> "digits" in names()
      True
    """
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem.isidentifier())
