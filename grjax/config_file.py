"""A config file with the sections that it leaves out, as run.py loads every one.

ml_collections sets a key from the command line only in a section that is there: with these,
`--config.imbalance.name=long_tail` works whatever the file says.
"""

import runpy

from ml_collections import ConfigDict

from grjax.config import defaults


def get_config(path: str) -> ConfigDict:
    """What a file's `get_config` returns, completed by the default sections.

    Args:
      path: of the file; after a colon the argument of its `get_config`, if it takes one.
    """
    file, *argument = path.split(":", 1)
    config: ConfigDict = runpy.run_path(file)["get_config"](*argument)
    sections = {key: value for key, value in defaults().items() if isinstance(value, ConfigDict)}
    data = {**sections["data"], **config.get("data", {})}
    return ConfigDict({**sections, **config, "data": data})
