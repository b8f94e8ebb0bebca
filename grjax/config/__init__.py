"""Configs: the keys of a run, config files, and the protocol cards that build them.

`merging` has every key with its default, and lays files and the command line over them; `files` reads a
config file; `card` gives a config file arguments.
"""

from grjax.config.merging import defaults, flatten, merge, options_in_steps, resolve, steps, unflatten

__all__ = ["defaults", "flatten", "merge", "options_in_steps", "resolve", "steps", "unflatten"]
