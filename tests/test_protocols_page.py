"""docs/reference/protocols.md: its tables say what the cards build."""

import importlib
import re
from pathlib import Path

import pytest

from grjax.config import card

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "protocols.md"
CONFIGS = ROOT / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py") if "card.get_config(build" in path.read_text())


def written(value):
    """An option's value as the page has it."""
    if isinstance(value, dict):
        return named(value)
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(written, value)) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def named(section, *, without=()):
    """'`name` option 1, other 2' of a section, options in its order."""
    options = [f"{key} {written(value)}" for key, value in section.items() if key not in ("name", *without)]
    return " ".join([f"`{section['name']}`", ", ".join(options)]).strip()


def expected_row(name):
    """The generated table's row of a card: what its config says, at the default arguments."""
    config = importlib.import_module(f"grjax.configs.{name}").build()
    data = config["data"]
    held_out = data.get("validation_fraction", 0)
    augmentation = [
        named(each if isinstance(each, dict) else {"name": each}) for each in data.get("augmentation", ())
    ]
    unit = "steps" if "train_steps" in config else "epochs"
    return [
        f"[{name}](../../configs/{name}.py)",
        f"`{data['name']}`" + (f", {held_out:g} held out, {data['validation_labels']}" if held_out else ""),
        named(config["noise"], without=("seed", "path")),
        named(config["model"], without=("pretrained",)),
        named(config["loss"]) + (f" in {named(config['method'])}" if "method" in config else ""),
        named(config["optimizer"]),
        f"{config[f'train_{unit}']:g} {unit} of {config['batch_size']}; {named(config['schedule'])}",
        ", ".join(augmentation) or "–",
    ]


def rows_below(heading):
    """Cells of the table's rows, without its head."""
    text = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1, heading
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_generated_table_is_what_the_cards_build():
    assert rows_below("What they build") == [expected_row(name) for name in NAMES]


def test_every_card_has_a_paper_and_a_published_figure_or_says_that_none_is_confirmed():
    rows = rows_below("The cards")
    assert sorted(re.search(r"`(\w+)`", row[0]).group(1) for row in rows) == NAMES
    assert all(row[-1] for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_the_page_stand_in_the_header_of_the_card(name):
    header = re.match(r'"""(.*?)"""', (CONFIGS / f"{name}.py").read_text(), re.DOTALL).group(1)
    (row,) = [row for row in rows_below("The cards") if row[0] == f"`{name}`"]
    for figure in re.findall(r"\b\d+\.\d+\b", row[-2]):
        assert figure in header, figure


def test_links_lead_to_files_and_code_runs():
    text = PAGE.read_text()
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("https://")}
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
    (code,) = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    namespace = {}
    exec(code, namespace)
    assert namespace["config"].loss.to_dict() == {"name": "gce", "q": 0.5}


def test_commands_name_cards_and_their_arguments():
    for file, argument in re.findall(r"--config=configs/(\w+)\.py(?::(\S+))?", PAGE.read_text()):
        card.parse(importlib.import_module(f"grjax.configs.{file}").build, argument)
