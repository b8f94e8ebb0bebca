"""The documentation is true: its code runs, its links lead somewhere, its tables say what the losses do."""

import contextlib
import inspect
import io
import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
import scipy.special

from grjax import losses

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "losses.md"

COMMON = {"logits", "labels", "normalization", "per_class", "axis_name"}  # described above the tables
# Values for hyper-parameters that have no default, and others where the default is a corner of the formula.
VALUES = {
    "gradient_rescaling": {"lam": 0.5, "beta": 3.0},
    "imae": {"beta": 3.0},
    "combined": {"a": 0.5, "b": 1.0, "lam": 2.0, "beta": 3.0, "log_c": 0.7},
    "truncated_gce": {"k": 0.2},
    "phuber_ce": {"tau": 5.0},
    "phuber_gce": {"tau": 2.0},
    "nnce": {"p_min": 0.02},
    "nnfl": {"p_min": 0.02},
    "epsilon_softmax": {"m": 10.0, "alpha": 0.5},
    "proselflc": {"trust": 0.5},
    "forward_correction": {"transition": 0.4},
    "backward_correction": {"transition": 0.4},
    "logit_clip": {"delta": 1.5, "threshold": 2.5},
}


def own_defaults(name):
    """{hyper-parameter: default}, without what all losses have, or all of p alone."""
    parameters = inspect.signature(getattr(losses, name)).parameters
    common = COMMON | ({"epsilon"} if "normalization" in parameters else set())
    return {key: each.default for key, each in parameters.items() if key not in common}


SUMS = {"nce_mae", "nce_rce", "nfl_mae", "nfl_rce", "nce_agce", "nce_aul", "nce_ael",
        "anl_ce", "anl_ce_er", "anl_fl", "jal_ce", "jal_fl"}  # fmt: skip
OF_A_BATCH = {"dmi"}


def python_blocks(page):
    """(first line, code) of each Python block."""
    text = page.read_text()
    for block in re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, block.start(1)) + 1, block.group(1)


def run_blocks(page, namespace):
    blocks = list(python_blocks(page))
    assert blocks
    with contextlib.redirect_stdout(io.StringIO()):
        for line, code in blocks:
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), namespace)  # tracebacks name the line


def cells(line):
    """The cells of a table's row, split where Markdown splits it: at every pipe, in code too."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table_rows():
    """{loss: (header, cells)}, and that every table is whole."""
    rows, header = {}, None
    for line in PAGE.read_text().splitlines():
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = cells(line)
        elif not set(line) <= set("|-"):
            name = cells(line)[0].strip("`")
            assert len(cells(line)) == len(header), line
            assert name not in rows, name
            rows[name] = dict(zip(header, cells(line), strict=True))
        else:
            assert len(cells(line)) == len(header), line
    return rows


ROWS = table_rows()


def code_of(cell):
    return re.findall(r"`([^`]+)`", cell)


def evaluate(cell, symbols):
    """The cell's formula in NumPy float64; what it defines is left in `symbols`."""
    formula, *definitions = code_of(cell)
    for written in [*definitions, formula]:
        target, equals, right = written.partition(" = ")
        value = eval((right if equals else written).replace("·", "*").replace("^", "**"), symbols)
        if equals:
            symbols[target] = value
            if np.shape(value) == symbols["e"].shape:
                symbols[f"{target}_y"] = value[symbols["y"]]
    return value


def symbols_for(z, y, options):
    P = np.exp(z - scipy.special.logsumexp(z))  # noqa: N806
    functions = {
        "exp": np.exp, "log": np.log, "where": np.where, "max": np.maximum, "min": np.minimum, "sum": np.sum,
        "mean": np.mean, "norm": np.linalg.norm, "abs": np.abs,
        "sign": np.sign, "softmax": scipy.special.softmax, "arange": np.arange,
    }  # fmt: skip
    top = np.eye(len(z))[P.argmax()]
    symbols = {
        **functions, **options, "z": z, "y": y, "z_y": z[y], "P": P, "p": P[y], "e": np.eye(len(z))[y],
        "C": len(z), "H": -np.sum(P * np.log(P)), "top": top, "top_y": top[y],
    }  # fmt: skip
    if "t2" in options:
        exponent = 1 / (1 - options["t2"])
        symbols["shift"] = scipy.optimize.brentq(
            lambda shift: np.sum((1 + (1 - options["t2"]) * (z - shift)) ** exponent) - 1,
            z.max(),
            z.max() + 50,
        )
    if "transition" in options:
        rate = options["transition"]
        T = np.full((len(z), len(z)), rate / (len(z) - 1))  # noqa: N806
        np.fill_diagonal(T, 1 - rate)
        symbols |= {"T_y": T[:, y], "R": np.linalg.inv(T)[y]}
    return symbols


def test_code_of_the_losses_page_runs():
    run_blocks(PAGE, {})


def test_code_of_the_readme_runs():
    model = nn.Dense(10)
    images, labels = jnp.ones((4, 8)), jnp.arange(4)
    params, optimizer = model.init(jax.random.key(0), images), optax.sgd(0.1)
    namespace = {
        "model": model, "images": images, "labels": labels, "params": params,
        "optimizer": optimizer, "opt_state": optimizer.init(params),
        "X": np.random.default_rng(0).normal(size=(40, 2)), "y": np.arange(40) % 2,
    }  # fmt: skip
    run_blocks(ROOT / "README.md", namespace)
    moved = jax.tree.map(lambda new, old: bool((new != old).any()), namespace["params"], params)
    assert jax.tree.all(moved)


@pytest.mark.parametrize("page", ["sweep.md", "extend.md"])
def test_code_of_the_guide_runs(page):
    run_blocks(ROOT / "docs" / "guide" / page, {})


def test_every_loss_has_a_row_and_every_row_a_loss():
    assert sorted(ROWS) == sorted(losses.names() + losses.names_with_memory())


@pytest.mark.parametrize("name", ROWS)
def test_defaults_are_those_of_the_signature(name):
    written = {}
    for code in code_of(ROWS[name]["defaults"]):
        key, equals, value = code.partition("=")
        written[key] = eval(value) if equals else inspect.Parameter.empty
    assert ("required" in ROWS[name]["defaults"]) == (inspect.Parameter.empty in written.values())
    expected = own_defaults(name)
    assert written.keys() == expected.keys()
    for key, default in expected.items():
        is_number = isinstance(default, int | float)
        assert written[key] == (pytest.approx(default, rel=1e-5) if is_number else default), key


@pytest.mark.parametrize("name", sorted(set(losses.names()) - SUMS - OF_A_BATCH))
def test_formulas_are_those_of_the_library(name):
    row, num_classes = ROWS[name], 5
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(12, num_classes), scale=1.5), rng.integers(0, num_classes, 12)
    parameters = inspect.signature(getattr(losses, name)).parameters
    options = own_defaults(name) | VALUES.get(name, {})
    keywords = {"normalization": "none"} if "normalization" in parameters else {}
    loss = losses.create(name, **VALUES.get(name, {}), **keywords)

    @jax.jit
    def value_and_gradient(z):
        value, pullback = jax.vjp(lambda z: loss(z, jnp.asarray(y)), z)
        return value, pullback(jnp.ones_like(value))[0]

    value, gradient = value_and_gradient(jnp.asarray(z))
    for i in range(len(z)):
        symbols = symbols_for(z[i], y[i], options)
        L = evaluate(next(cell for key, cell in row.items() if key.startswith("value")), symbols)  # noqa: N806
        np.testing.assert_allclose(value[i], L, rtol=1e-4, atol=1e-6)
        symbols["L"] = L
        formula = row.get("logit gradient") or "`w/(2·(1 - p))·(P - e)`"
        if "logit gradient" not in row:
            symbols["w"] = evaluate(
                next(cell for key, cell in row.items() if key.startswith("weight")), symbols
            )
        np.testing.assert_allclose(gradient[i], evaluate(formula, symbols), rtol=1e-3, atol=1e-5)
