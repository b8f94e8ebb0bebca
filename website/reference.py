"""Writes the reference from the registries: losses, noise models, methods, configs, and the Python packages.

Formulas, conventions and sources come from the tables of docs/reference, which tests compare with the code;
signatures and docstrings from the code, by mkdocstrings; defaults and published values from the registries.
"""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from grjax import config as config_lib
from grjax import losses, methods, noise
from grjax.configs import __path__ as config_folders
from website.curves import draw_weight

DATASETS = ("cifar10", "cifar100", "mnist", "clothing1m", "webvision", "digits")
# Packages, and what of them is public where they do not say so by `__all__`.
PACKAGES = (
    "grjax.losses", "grjax.emphasis", "grjax.noise", "grjax.data", "grjax.methods", "grjax.models",
    "grjax.optimizers", "grjax.analysis", "grjax.analysis.report", "grjax.estimator", "grjax.fit",
    "grjax.train", "grjax.evaluate", "grjax.config", "grjax.sweep", "grjax.tune", "grjax.errors",
)  # fmt: skip
# A weight needs numbers where a loss has no default.
_DRAWN_WITH: dict[str, dict[str, float]] = {
    "gradient_rescaling": {"lam": 0.5, "beta": 8.0},
    "imae": {"beta": 16.0},
    "combined": {"b": 1.0},
    "proselflc": {"trust": 0.5},
    "forward_correction": {"transition": 0.4},
    "backward_correction": {"transition": 0.4},
}


class MissingDocstringError(Exception):
    """A public name without a docstring."""


def generate(target: Path) -> None:
    """Writes the generated pages below `target`, where the hand-written ones are.

    Raises:
      MissingDocstringError: a registered or exported name has no docstring.
    """
    rows = tables_by_name(target / "reference" / "losses.md")
    for name in losses.names() + losses.names_with_memory():
        _write(target / "reference" / "losses" / f"{name}.md", _loss_page(name, rows[name], target))
    rows = tables_by_name(target / "reference" / "noise.md")
    for name in noise.names():
        _write(target / "reference" / "noise" / f"{name}.md", _noise_page(name, rows.get(name, {})))
    for name in methods.names():
        function = methods._METHODS[name]
        text = f"# {name}\n\n" + _directive(function.__module__, function.__name__)
        _write(target / "reference" / "methods" / f"{name}.md", text)
    for package in PACKAGES:
        _write(target / "reference" / "python" / f"{package}.md", _package_page(package))
    _write(target / "reference" / "config_keys.md", _config_keys_page())
    _write(target / "reference" / "shipped_configs.md", _configs_page())


def public_names(package: str) -> list[str]:
    """What a package exports: its `__all__`, else the public functions and classes it defines."""
    module = importlib.import_module(package)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", "") == package)
    return [name for name in own if not name.startswith("_") and inspect.getdoc(getattr(module, name))]


def tables_by_name(page: Path) -> dict[str, dict[str, str]]:
    """{name in code at the beginning of a row: {header: cell}} of every table of a page."""
    rows: dict[str, dict[str, str]] = {}
    header: list[str] | None = None
    for line in page.read_text().splitlines():
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if header is None:
            header = cells
        below = [re.sub(r"\]\((?![a-z]+:)", "](../", cell) for cell in cells[1:]]  # read one folder deeper
        for name in re.findall(r"`(\w+)`", cells[0]):
            rows.setdefault(name, dict(zip(header[1:], below, strict=False)))
    return rows


def _loss_page(name: str, row: dict[str, str], target: Path) -> str:
    remembers = name in losses.names_with_memory()
    kind = "remembers each example: make it with `losses.for_training`" if remembers else "any logits"
    if name in losses.names_of_p_alone():
        kind = "p alone: it has a weight w(p), and takes `epsilon` and `normalization`"
    facts = {"in a config": f"`--config.loss.name={name}`", "depends on": kind, **row}
    text = f"# {name}\n\n{_facts(facts)}\n"
    published = {dataset: losses.published(name, dataset) for dataset in DATASETS}
    if any(published.values()):
        text += "## Published hyper-parameters\n\n| data set | options | source |\n|---|---|---|\n"
        for dataset, values in published.items():
            if values:
                options = ", ".join(f"`{key}={value}`" for key, value in values.options.items())
                text += f"| `{dataset}` | {options} | {values.source} |\n"
    if not remembers and name != "dmi":  # dmi is of a whole batch
        numbers = _DRAWN_WITH.get(name, {})
        draw_weight(name, numbers, target / "figures" / "weights" / f"{name}.svg")
        drawn_with = "".join(f", {key} = {value:g}" for key, value in numbers.items())
        text += (
            f"\n## Weight\n\n![w(p) of {name}](../../figures/weights/{name}.svg)\n\n"
            "The L1 norm of the logit gradient over the probability p of the label; the other nine classes "
            f"are equally likely{drawn_with}.\n"
        )
    return f"{text}\n## Signature\n\n{_directive('grjax.losses', name, level=3)}"


def _noise_page(name: str, row: dict[str, str]) -> str:
    function = noise._MODELS[name]
    facts = {"in a config": f"`--config.noise.name={name}`", **row}
    return f"# {name}\n\n{_facts(facts)}\n{_directive(function.__module__, function.__name__)}"


def _package_page(package: str) -> str:
    module = importlib.import_module(package)
    registered = {
        "grjax.losses": losses.names() + losses.names_with_memory(),
        "grjax.noise": [function.__name__ for function in noise._MODELS.values()],
        "grjax.methods": methods.names(),
    }.get(package, [])
    text = f"# {package}\n\n{inspect.getdoc(module)}\n\n"
    for name in public_names(package):
        value = getattr(module, name)  # a type alias has no docstring, a module its own page
        if name not in registered and (inspect.isroutine(value) or inspect.isclass(value)):
            text += _directive(package, name)
    if registered:
        text += (
            f"The names of the registry have pages of their own: {', '.join(f'`{n}`' for n in registered)}.\n"
        )
    return text


def _directive(module: str, name: str, level: int = 2) -> str:
    """What mkdocstrings replaces by signature and docstring."""
    value = getattr(importlib.import_module(module), name)
    if not inspect.getdoc(value):
        raise MissingDocstringError(f"{module}.{name} is public and has no docstring")
    return f"::: {module}.{name}\n    options:\n      heading_level: {level}\n\n"


def _config_keys_page() -> str:
    source = inspect.getsource(config_lib.defaults)
    body = source[source.index("return ConfigDict(") :]
    flat = config_lib.flatten(config_lib.defaults())
    rows = "\n".join(f"| `{key}` | `{value!r}` |" for key, value in flat.items())
    return f"""# The keys of a config

A config file sets what differs from these defaults; `--config.KEY=VALUE` sets one key. The sections with a
`name` take the options of what they name.

| key | default |
|---|---|
{rows}

## What they mean

```python
{inspect.cleandoc(body)}
```
"""


def _configs_page() -> str:
    text = "# The shipped configs\n\nEach is given by its name: `grjax train --config=digits`.\n"
    for file in sorted(Path(config_folders[0]).glob("[a-z]*.py")):
        tree = ast.parse(file.read_text())
        title, _, rest = (ast.get_docstring(tree) or "").partition("\n")
        if not title:
            raise MissingDocstringError(f"configs/{file.name} has no header")
        text += f"\n## {file.stem}\n\n{title}\n\n```text\n{rest.strip()}\n```\n"
        for function in tree.body:
            if isinstance(function, ast.FunctionDef) and function.name == "build":
                keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
                written = ", ".join(f"`{key.arg}={ast.unparse(value)}`" for key, value in keywords if value)
                text += f"\nArguments, with their defaults: {written}.\n"
    return text


def _facts(facts: dict[str, Any]) -> str:
    rows = [f"| {key} | {value} |" for key, value in facts.items() if value]
    return "\n".join(["| | |", "|---|---|", *rows, ""])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
