"""Schedules against closed forms, optimisers against PyTorch's documented formulas in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from grjax import optimizers
from grjax.errors import ConfigError

TOTAL = 20

# name, options, and the closed form of the factor when a part x of the schedule proper, t steps, is over.
CLOSED_FORMS = [
    ("constant", {}, lambda x, t: 1.0),
    ("cosine", {}, lambda x, t: (1 + np.cos(np.pi * x)) / 2),
    ("cosine", {"final": 0.1}, lambda x, t: 0.1 + 0.9 * (1 + np.cos(np.pi * x)) / 2),
    ("polynomial", {}, lambda x, t: 1 - x),
    ("polynomial", {"power": 2.0, "final": 0.1}, lambda x, t: 0.1 + 0.9 * (1 - x) ** 2),
    ("inverse_time", {"rate": 0.1}, lambda x, t: 1 / (1 + 0.1 * t)),
    ("inverse_time", {"rate": 0.5, "power": 0.75}, lambda x, t: (1 + 0.5 * t) ** -0.75),
    ("exponential", {"factor": 0.1, "every_steps": 7}, lambda x, t: 0.1 ** (t / 7)),
    ("cosine", {"period_steps": 4}, lambda x, t: (1 + np.cos(np.pi * (t % 4) / 4)) / 2),
    (
        "cosine",
        {"period_steps": 3, "final": 0.1},
        lambda x, t: 0.1 + 0.9 * (1 + np.cos(np.pi * (t % 3) / 3)) / 2,
    ),
]
# What has no default.
NEEDED = {
    "piecewise": {"boundaries_steps": (3,)},
    "inverse_time": {"rate": 0.1},
    "exponential": {"factor": 0.5, "every_steps": 3},
}


def factors(schedule, number=TOTAL + 1):
    return np.array([schedule(step) for step in range(number)])


@pytest.mark.parametrize("warmup", [0, 1, 5, TOTAL - 1])
@pytest.mark.parametrize(("name", "options", "closed_form"), CLOSED_FORMS)
@pytest.mark.parametrize("traced", [True, False], ids=["traced", "not_traced"])
def test_schedule_at_every_step(name, options, closed_form, warmup, traced):
    schedule = optimizers.create_schedule(name, total_steps=TOTAL, warmup_steps=warmup, **options)
    proper = TOTAL - warmup
    expected = [
        step / warmup if step < warmup else closed_form((step - warmup) / proper, step - warmup)
        for step in range(TOTAL + 1)
    ]
    # The train step counts in int32 arrays, the rows of metrics in Python's integers.
    found = jax.jit(jax.vmap(schedule))(jnp.arange(TOTAL + 1)) if traced else factors(schedule)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("warmup", [0, 4, 10])
@pytest.mark.parametrize(("options", "factor"), [({}, 0.1), ({"factor": 0.5}, 0.5)])
def test_piecewise_boundaries_are_steps_of_the_run(warmup, options, factor):
    boundaries = [8, 15]
    schedule = optimizers.create_schedule(
        "piecewise", total_steps=TOTAL, warmup_steps=warmup, boundaries_steps=boundaries, **options
    )
    expected = [
        step / warmup if step < warmup else factor ** np.sum(step >= np.array(boundaries))
        for step in range(TOTAL + 1)
    ]
    np.testing.assert_allclose(factors(schedule), expected, rtol=1e-6)
    assert boundaries == [8, 15]


def test_piecewise_with_the_decay_of_keras():
    options = {"boundaries_steps": [8], "factor": 0.1, "rate": 0.5}
    schedule = optimizers.create_schedule("piecewise", total_steps=TOTAL, **options)
    steps = np.arange(TOTAL)
    np.testing.assert_allclose(factors(schedule, TOTAL), 0.1 ** (steps >= 8) / (1 + 0.5 * steps), rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("traced", [True, False], ids=["traced", "not_traced"])
def test_a_schedule_that_is_held_changes_only_every_so_many_of_its_steps(warmup, traced):
    options = {"total_steps": TOTAL, "warmup_steps": warmup}
    each_step = factors(optimizers.create_schedule("cosine", **options))
    held = optimizers.create_schedule("cosine", **options, hold_steps=4)
    since = np.arange(warmup, TOTAL) - warmup
    expected = np.append(each_step[:warmup], each_step[warmup + since - since % 4])
    steps = jnp.arange(TOTAL)
    found = jax.jit(jax.vmap(held))(steps) if traced else factors(held, TOTAL)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cosine", "polynomial"])
@pytest.mark.parametrize("warmup", [0, 5])
def test_final_is_reached_at_the_end_of_the_run_and_kept(name, warmup):
    schedule = optimizers.create_schedule(name, total_steps=TOTAL, warmup_steps=warmup, final=0.25)
    values = factors(schedule, TOTAL + 10)
    np.testing.assert_allclose(values[TOTAL:], 0.25, rtol=1e-6)
    assert (values[warmup:TOTAL] > 0.25).all()


def test_a_polynomial_begins_to_fall_where_it_is_told_to():
    """Co-teaching's: constant, then linear to 0, changed once an epoch; here of 4 steps."""
    schedule = optimizers.create_schedule("polynomial", total_steps=TOTAL, begin_steps=8, hold_steps=4)
    np.testing.assert_allclose(factors(schedule, TOTAL), np.repeat([1, 1, 1, 2 / 3, 1 / 3], 4), rtol=1e-6)
    with pytest.raises(ConfigError, match=r"schedule.begin_steps or begin_epochs: must be less than the 20"):
        optimizers.create_schedule("polynomial", total_steps=TOTAL, begin_steps=20)


@pytest.mark.parametrize("name", optimizers.schedule_names())
def test_every_schedule_starts_at_its_height(name):
    for warmup in (0, 4):
        needed = NEEDED.get(name, {})
        schedule = optimizers.create_schedule(name, total_steps=TOTAL, warmup_steps=warmup, **needed)
        if name != "piecewise":
            assert schedule(warmup) == 1
        assert schedule(0) == (0 if warmup else 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cosin", {}, r"schedule\.name: unknown name 'cosin'; did you mean 'cosine'"),
        (
            "cosine",
            {"finall": 0.1},
            r"schedule\.finall: .* did you mean 'final'\? Known: final, hold_steps, period_steps, warm",
        ),
        ("cosine", {"final": "0"}, r"schedule\.final: 'cosine' takes a number, got '0'"),
        ("constant", {"final": 0.1}, r"schedule\.final: 'constant' has no such option"),
        ("piecewise", {}, r"schedule\.boundaries_steps: 'piecewise' needs a value"),
        (
            "piecewise",
            {"boundaries_steps": 5},
            r"schedule\.boundaries_steps: 'piecewise' takes a list",
        ),
        ("inverse_time", {}, r"schedule\.rate: 'inverse_time' needs a value"),
        ("piecewise", {"boundaries_steps": ["5"]}, r"schedule\.boundaries_steps: 'piecewise' takes a list"),
        ("cosine", {"hold_steps": 0}, r"schedule\.hold_steps or hold_epochs: must be in \[1, inf\), got 0"),
        ("cosine", {"period_steps": 0}, r"schedule\.period_steps or .* must be in \[1, inf\), got 0"),
        (
            "exponential",
            {"factor": 0.5, "every_steps": -1},
            r"schedule\.every_steps or every_epochs: must be in \[1, inf\), got -1",
        ),
        ("cosine", {"warmup_steps": TOTAL}, r"schedule\.warmup_steps .* less than the 20 steps .*, got 20 s"),
        (
            "cosine",
            {"warmup_steps": -1},
            r"schedule\.warmup_steps or warmup_epochs: must be from 0 .*, got -1",
        ),
    ],
)
def test_a_bad_schedule_is_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        optimizers.create_schedule(name, total_steps=TOTAL, **options)


@pytest.mark.parametrize("warmup", [1.5, "5", None, True])
def test_a_warm_up_of_the_wrong_type_is_refused(warmup):
    with pytest.raises(ConfigError, match=r"schedule\.warmup_steps: 'cosine' takes a whole number"):
        optimizers.create_schedule("cosine", total_steps=TOTAL, warmup_steps=warmup)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("piecewise", "factor", -1.0),
        ("inverse_time", "rate", -0.1),
        ("inverse_time", "power", math.inf),
        ("polynomial", "power", -1.0),
        ("polynomial", "final", -0.1),
        ("cosine", "final", math.nan),
        ("piecewise", "rate", -0.1),
        ("exponential", "factor", math.inf),
    ],
)
def test_a_schedule_out_of_range_is_refused(name, key, value):
    needed = NEEDED.get(name, {})
    with pytest.raises(ConfigError, match=rf"^schedule\.{key}: must be in \[0, inf\), got {value}$"):
        optimizers.create_schedule(name, total_steps=TOTAL, **{**needed, key: value})


# --------------------------------------------------------------------------------------------- optimisers

PARAMS = {"kernel": np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.1]]), "bias": np.array([0.3, -0.7])}


def gradients(number=8):
    """Some small, some large."""
    rng = np.random.default_rng(0)
    scales = 10.0 ** rng.uniform(-1, 1, number)
    return [{key: scale * rng.normal(size=value.shape) for key, value in PARAMS.items()} for scale in scales]


def factor(step):
    """A schedule that is another number at each of the first steps."""
    return 1.0 / (1.0 + step)


def as_documented(
    name, *, learning_rate, weight_decay=0.0, decay="all", l1=0.0, clip_norm=None,
    momentum=0.9, b1=0.9, b2=0.999, eps=1e-8,
):  # fmt: skip
    """The parameters after each step, by the formulas in the documentation of torch.optim."""
    params = {key: value.copy() for key, value in PARAMS.items()}
    first = {key: np.zeros_like(value) for key, value in params.items()}
    second = {key: np.zeros_like(value) for key, value in params.items()}
    course = []
    for step, gradient in enumerate(gradients()):
        gradient = {key: g + l1 * np.sign(params[key]) for key, g in gradient.items()}  # part of the loss
        norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
        scale = 1.0 if clip_norm is None else min(1.0, clip_norm / norm)
        rate = learning_rate * factor(step)
        for key, p in params.items():
            decays = decay == "all" or (p.ndim > 1 if decay == "kernels" else key in decay)
            decaying = weight_decay * p if decays else 0.0
            g = scale * gradient[key] + (0.0 if name == "adamw" else decaying)
            if name == "sgd":
                direction = g
            elif name in ("momentum", "nesterov"):
                first[key] = momentum * first[key] + g
                direction = g + momentum * first[key] if name == "nesterov" else first[key]
            else:
                first[key] = b1 * first[key] + (1 - b1) * g
                second[key] = b2 * second[key] + (1 - b2) * g**2
                unbiased_first = first[key] / (1 - b1 ** (step + 1))
                unbiased_second = second[key] / (1 - b2 ** (step + 1))
                direction = unbiased_first / (np.sqrt(unbiased_second) + eps)
            params[key] = p - rate * direction - (rate * decaying if name == "adamw" else 0.0)
        course.append(dict(params))
    return course


def as_trained(name, jit=True, **options):
    """The parameters after each step of the optimiser that `create` makes."""
    optimizer = optimizers.create(name, schedule=factor, **options)
    update = jax.jit(optimizer.update) if jit else optimizer.update
    params = jax.tree.map(jnp.float32, PARAMS)
    state = optimizer.init(params)
    course = []
    for gradient in gradients():
        updates, state = update(jax.tree.map(jnp.float32, gradient), state, params)
        params = optax.apply_updates(params, updates)
        course.append(params)
    return course


def assert_same_course(one, other):
    for a, b in zip(one, other, strict=True):
        for key in PARAMS:
            np.testing.assert_allclose(a[key], b[key], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", optimizers.names())
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.2},
        {"weight_decay": 0.2, "decay": "kernels"},
        {"clip_norm": 1.0},
        {"clip_norm": 1.0, "weight_decay": 0.2, "decay": "kernels"},
        {"clip_norm": None, "decay": "all"},
        {"weight_decay": 0.2, "decay": ("bias",)},
        {"l1": 0.3},
        {"l1": 0.3, "clip_norm": 1.0, "weight_decay": 0.2},
    ],
    ids=str,
)
def test_optimizer_against_its_formula(name, options):
    options = {"learning_rate": 0.1, **options}
    if name == "adamw":
        options.setdefault("weight_decay", 0.0)  # required: it is what the name stands for
    assert_same_course(as_trained(name, **options), as_documented(name, **options))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("momentum", {"momentum": 0.5}),
        ("momentum", {"momentum": 0}),
        ("nesterov", {"momentum": 0.5}),
        ("adam", {"b1": 0.5, "b2": 0.9, "eps": 0.1}),
        ("adamw", {"b1": 0.5, "b2": 0.9, "eps": 0.1, "weight_decay": 0.2}),
    ],
)
def test_options_of_an_optimizer_reach_it(name, options):
    options = {"learning_rate": 0.1, **options}
    assert_same_course(as_trained(name, **options), as_documented(name, **options))


@pytest.mark.parametrize("name", optimizers.names())
def test_compiled_equals_not_compiled(name):
    options = {"learning_rate": 0.1, "weight_decay": 0.2, "clip_norm": 1.0}
    assert_same_course(as_trained(name, jit=True, **options), as_trained(name, jit=False, **options))


def test_layers_that_decay_must_be_there():
    optimizer = optimizers.create("sgd", schedule=factor, learning_rate=0.1, decay=("fc", "kernle"))
    with pytest.raises(ConfigError, match=r"^optimizer\.decay: no layer 'fc' in the model; Known: bias, ker"):
        optimizer.init(PARAMS)


def test_clipping_leaves_small_gradients_alone():
    norms = [np.sqrt(sum((g**2).sum() for g in gradient.values())) for gradient in gradients()]
    assert min(norms) < 1 < max(norms)  # so the tests above see both
    options = {"learning_rate": 0.1}
    assert_same_course(as_trained("sgd", clip_norm=2 * max(norms), **options), as_trained("sgd", **options))


def test_decoupled_weight_decay_is_not_l2():
    for weight_decay, differ in ((0.0, False), (0.2, True)):
        options = {"learning_rate": 0.1, "weight_decay": weight_decay}
        l2, decoupled = as_trained("adam", **options)[-1], as_trained("adamw", **options)[-1]
        assert (np.abs(l2["kernel"] - decoupled["kernel"]).max() > 1e-2) == differ


@pytest.mark.parametrize("name", optimizers.names())
def test_a_learning_rate_of_zero_changes_nothing(name):
    for params in as_trained(name, learning_rate=0, weight_decay=0.2):
        jax.tree.map(np.testing.assert_array_equal, params, jax.tree.map(jnp.float32, PARAMS))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adamm", {"learning_rate": 0.1}, r"optimizer\.name: unknown name 'adamm'; did you mean 'adam'"),
        ("sgd", {}, r"optimizer\.learning_rate: 'sgd' needs a value"),
        ("adamw", {"learning_rate": 0.1}, r"optimizer\.weight_decay: 'adamw' needs a value"),
        ("sgd", {"learning_rat": 0.1}, r"optimizer\.learning_rat: .*did you mean 'learning_rate'"),
        ("sgd", {"learning_rate": "0.1"}, r"optimizer\.learning_rate: 'sgd' takes a number, got '0\.1'"),
        ("sgd", {"learning_rate": 0.1, "momentum": 0.9}, r"optimizer\.momentum: 'sgd' has no such option"),
        ("adam", {"learning_rate": 0.1, "weight_decay": None}, r"optimizer\.weight_decay: .* takes a number"),
        (
            "adam",
            {"learning_rate": 0.1, "clip_norm": 0.0},
            r"optimizer\.clip_norm: must be in \(0, inf\], got",
        ),
        (
            "adam",
            {"learning_rate": 0.1, "clip_norm": "1"},
            r"optimizer\.clip_norm: .* a number or None",
        ),
        (
            "adam",
            {"learning_rate": 0.1, "decay": "bias"},
            r"optimizer\.decay: .* one of 'all', 'kernels' or a list",
        ),
        ("adam", {"learning_rate": 0.1, "decoupled": True}, r"optimizer\.decoupled: .* no such option"),
        ("adam", {"learning_rate": 0.1, "moments": None}, r"optimizer\.moments: .* no such option"),
        ("adam", {"learning_rate": 0.1, "momentum": 0.9}, r"optimizer\.momentum: 'adam' has no such option"),
    ],
)
def test_a_bad_optimizer_is_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        optimizers.create(name, schedule=factor, **options)


@pytest.mark.parametrize(
    ("name", "key", "value", "below"),
    [
        ("sgd", "learning_rate", -0.1, "inf"),
        ("sgd", "learning_rate", math.nan, "inf"),
        ("sgd", "learning_rate", math.inf, "inf"),
        ("sgd", "weight_decay", -0.1, "inf"),
        ("sgd", "weight_decay", math.inf, "inf"),
        ("momentum", "momentum", 1.0, "1"),
        ("momentum", "momentum", -0.1, "1"),
        ("nesterov", "momentum", 1.5, "1"),
        ("adam", "b1", 1.0, "1"),
        ("adam", "b2", 1.5, "1"),
        ("adamw", "eps", -1.0, "inf"),
    ],
)
def test_an_optimizer_out_of_range_is_refused(name, key, value, below):
    options = {"learning_rate": 0.1, key: value}
    with pytest.raises(ConfigError, match=rf"^optimizer\.{key}: must be in \[0, {below}\), got {value}$"):
        optimizers.create(name, schedule=factor, **options)
