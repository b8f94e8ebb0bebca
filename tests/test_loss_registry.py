"""What every registered loss does, tested by being registered, against `loss_references`."""

import functools
import inspect
import typing

import jax
import jax.numpy as jnp
import loss_references as reference
import numpy as np
import pytest
import scipy.special
from jax.typing import ArrayLike

from grjax import losses

REFERENCES, MEMORY_REFERENCES = reference.REFERENCES, reference.MEMORY_REFERENCES
N, C = 64, 5


def traceable(name):
    """The hyper-parameters of a loss that may be traced; `views` are logits."""
    hints = typing.get_type_hints(getattr(losses, name))
    arrays = {
        key for key, hint in hints.items() if set(typing.get_args(ArrayLike)) <= set(typing.get_args(hint))
    }
    return arrays - {"logits", "labels", "views"}


def value_and_gradient(case, logits, labels, cotangent, options, axis_name=None):
    found = REFERENCES[case]
    loss = losses.create(found.loss, axis_name=axis_name, **found.static, **options)
    value, pullback = jax.vjp(lambda logits: loss(logits, labels), logits)
    return value, pullback(cotangent.astype(value.dtype))[0]


BROKEN = {}  # losses that raise, and what


def of_all_losses(function):
    """Of function(case, ...), all cases in one program: to compile each alone takes minutes."""

    def all_cases(*arguments):
        results = {}
        for case in REFERENCES:
            try:
                results[case] = function(case, *arguments)
            except Exception as error:
                BROKEN[case] = error
        return results

    return all_cases


def for_all_options(case, logits, labels, cotangent):
    """[K, ...] for K sets of hyper-parameters, which are traced."""
    of_options = functools.partial(value_and_gradient, case, logits, labels, cotangent)
    options = stacked_options(case)
    return jax.vmap(of_options)(options) if options else jax.tree.map(lambda x: x[None], of_options({}))


def stacked_options(case):
    first, *_ = sets = REFERENCES[case].options
    dtype = jnp.result_type(float)
    return {key: jnp.asarray(np.stack([options[key] for options in sets]), dtype) for key in first}


# Without LLVM's optimisation, which takes half of the time to compile.
QUICK = {"xla_backend_optimization_level": 0}
compiled = jax.jit(of_all_losses(for_all_options), compiler_options=QUICK)


def run(case, logits, labels, cotangent=None, program=compiled):
    """Values [K, N] and gradients [K, N, C] of a loss, for its K sets of hyper-parameters."""
    results = program(logits, labels, np.ones(labels.shape, np.float32) if cotangent is None else cotangent)
    if case in BROKEN:
        raise BROKEN[case]
    return results[case]


def random_batch(scale=2.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, C), scale=scale).astype(np.float32), rng.integers(0, C, N)


def confident_batch():
    """p within 1e-7 of 0 (first half) and of 1 (second half)."""
    logits, labels = random_batch(0.5)
    logits[np.arange(N), labels] = np.concatenate(
        [np.linspace(-30, -19, N // 2), np.linspace(19, 25, N // 2)]
    )
    return logits, labels


def extreme_batch():
    """Logits of 1e4 and -1e4, and all equal ones."""
    logits, labels = random_batch()
    logits = np.where(logits > 2, 1e4, np.where(logits < 0.5, -1e4, logits)).astype(np.float32)
    logits[:2] = [[1e4], [-1e4]]
    return logits, labels


def close(actual, expected, rtol=1e-5, atol=1e-6):
    """As far as float32 goes: in what is subtracted to get there, the largest number counts."""
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(np.asarray(actual, np.float64), expected, rtol=rtol, atol=atol * scale)


def numbered(case):
    return enumerate(REFERENCES[case].options)


@pytest.mark.parametrize("name", losses.names())
def test_has_a_reference(name):
    found = [each for each in REFERENCES.values() if each.loss == name]
    assert found, f"{name!r} is registered without a reference: write one in tests/loss_references.py"
    parameters = inspect.signature(getattr(losses, name)).parameters
    may_lack = {key for key in traceable(name) if parameters[key].default is None}
    for each in found:
        for options in each.options:
            assert traceable(name) - may_lack <= set(options) <= traceable(name), (
                f"{name}: all its numbers, in each set of options"
            )
    for key in traceable(name):
        values = {str(options[key]) for each in found for options in each.options if key in options}
        assert len(values) > 1, f"{name}: two values of {key}"
    switches = {key for key, hint in typing.get_type_hints(getattr(losses, name)).items() if hint is bool}
    for key in switches - {"per_class"}:
        assert any(key in each.static for each in found), f"{name}: a reference with the other {key}"


@pytest.mark.parametrize("name", losses.names_with_memory())
def test_has_a_reference_with_memory(name):
    assert name in MEMORY_REFERENCES, (
        f"{name!r} is registered without a reference: write one in tests/loss_references.py"
    )


def test_every_reference_is_of_a_registered_loss():
    assert {found.loss for found in REFERENCES.values()} == set(losses.names())
    assert set(MEMORY_REFERENCES) == set(losses.names_with_memory())


def test_the_batches_are_what_they_are_called():
    logits, labels = confident_batch()
    others = scipy.special.logsumexp(np.where(reference.one_hot(logits, labels), -np.inf, logits), axis=-1)
    log_odds = logits[np.arange(N), labels] - others
    assert scipy.special.expit(log_odds[: N // 2]).max() < 1e-7
    assert scipy.special.expit(-log_odds[N // 2 :]).max() < 1e-7
    assert {-1e4, 1e4} < set(extreme_batch()[0].flat)


@pytest.mark.parametrize("case", REFERENCES)
@pytest.mark.parametrize("batch", [random_batch, confident_batch])
def test_value_and_gradient(case, batch):
    (logits, labels), found = batch(), REFERENCES[case]
    values, gradients = run(case, logits, labels)
    assert (values.dtype, gradients.dtype) == (jnp.float32, jnp.float32)
    z = np.float64(logits)
    for number, options in numbered(case):
        close(values[number], found.value(z, labels, **options))
        close(gradients[number], found.gradient(z, labels, **options))


# Cross-entropy without normalisation is optax's, to the last bit; exp(logit / lambda0) has fewer digits.
@pytest.mark.parametrize(
    "case", sorted(REFERENCES.keys() - {"cross_entropy, optax's", "ldr_kl", "ldr_kl, of softplus"})
)
def test_gradient_of_what_is_nearly_certain(case):
    """Where p is within 1e-4 of 1, gradients are as small as that, and still have their digits."""
    logits, labels = random_batch(0.5)
    logits[np.arange(N), labels] = np.linspace(11, 13, N)
    found, gradients = REFERENCES[case], run(case, logits, labels)[1]
    for number, options in numbered(case):
        expected = found.gradient(np.float64(logits), labels, **options)
        error = np.abs(np.asarray(gradients[number], np.float64) - expected).max(-1)
        assert (error <= 1e-4 * np.abs(expected).max(-1) + 1e-10).all(), (options, error, expected)


@pytest.mark.parametrize("case", REFERENCES)
def test_float64(case):
    (logits, labels), found = random_batch(seed=3), REFERENCES[case]
    z = np.float64(logits)
    with jax.enable_x64(True):
        values, gradients = run(case, z, labels)
    assert (values.dtype, gradients.dtype) == (jnp.float64, jnp.float64)
    for number, options in numbered(case):
        close(values[number], found.value(z, labels, **options), rtol=1e-10, atol=1e-12)
        close(gradients[number], found.gradient(z, labels, **options), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("case", REFERENCES)
def test_extreme_logits(case):
    (logits, labels), found = extreme_batch(), REFERENCES[case]
    values, gradients = run(case, logits, labels)
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
    for number, options in numbered(case):
        with np.errstate(all="ignore"):
            expected = found.value(np.float64(logits), labels, **options)
        usable = np.isfinite(expected)
        assert usable.sum() > N / 8
        # optax's cross-entropy rounds to the digits that a logit of 1e4 has.
        atol = 1e-3 if case == "cross_entropy, optax's" else 1e-6
        close(np.asarray(values[number])[usable], expected[usable], atol=atol)


@pytest.mark.parametrize("case", REFERENCES)
def test_bfloat16_logits_are_widened_to_float32(case):
    logits, labels = random_batch()
    narrow = jnp.asarray(logits, jnp.bfloat16)
    value, gradient = run(case, narrow, labels)
    wide_value, wide = run(case, narrow.astype(jnp.float32), labels)
    assert (value.dtype, gradient.dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(value, wide_value, rtol=1e-6, atol=1e-7)
    # Half a unit in the last place, and a little for another order of sums.
    eps = float(jnp.finfo(jnp.bfloat16).eps)
    np.testing.assert_allclose(np.float64(gradient), np.float64(wide), rtol=0.51 * eps, atol=1e-6)


@pytest.mark.parametrize("case", REFERENCES)
def test_leading_axes(case):
    for leading in ((), (2, 3, 4)):
        logits = jax.ShapeDtypeStruct((*leading, C), jnp.float32)
        labels, cotangent = (
            jax.ShapeDtypeStruct(leading, jnp.int32),
            jax.ShapeDtypeStruct(leading, jnp.float32),
        )
        of_case = functools.partial(value_and_gradient, case, options=REFERENCES[case].options[0])
        value, gradient = jax.eval_shape(of_case, logits, labels, cotangent)
        assert (value.shape, value.dtype, gradient.shape) == (leading, jnp.float32, (*leading, C))


@pytest.mark.parametrize("case", REFERENCES)
def test_permutation_of_classes(case):
    logits, labels = random_batch()
    order = np.array([2, 0, 4, 1, 3])
    values, gradients = run(case, logits, labels)
    permuted = run(case, logits[:, order], np.argsort(order)[labels])
    for number, options in numbered(case):
        if np.ndim(options.get("transition", 0)):
            continue  # its own test
        close(permuted[0][number], values[number])
        expected = np.asarray(gradients[number])[:, order]
        np.testing.assert_allclose(permuted[1][number], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("correction", [losses.forward_correction, losses.backward_correction])
def test_permutation_of_classes_and_their_transitions(correction):
    logits, labels = random_batch()
    order = np.array([2, 0, 4, 1, 3])
    transition = reference.TRANSITION
    value = correction(logits, labels, transition=transition)
    permuted = correction(
        logits[:, order], np.argsort(order)[labels], transition=transition[np.ix_(order, order)]
    )
    np.testing.assert_allclose(permuted, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", REFERENCES)
def test_permutation_of_the_batch(case):
    logits, labels = random_batch()
    order = np.random.default_rng(2).permutation(N)
    values, gradients = run(case, logits, labels)
    permuted = run(case, logits[order], labels[order])
    # A sum over the batch has another order.
    atol = 1e-6 if REFERENCES[case].couples_batch else 1e-7
    close(permuted[0], np.asarray(values)[:, order], atol=atol)
    close(permuted[1], np.asarray(gradients)[:, order], atol=atol)


@pytest.mark.parametrize("case", REFERENCES)
def test_weights_of_the_caller_scale_the_gradients(case):
    logits, labels = extreme_batch()
    weights = np.where(np.arange(N) % 4 == 0, 0, np.linspace(0.5, 3, N)).astype(np.float32)
    weights /= weights.sum()
    _, gradients = run(case, logits, labels)
    _, weighted = run(case, logits, labels, cotangent=weights)
    np.testing.assert_allclose(weighted, gradients * weights[None, :, None], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(weighted[:, ::4], 0)


@pytest.mark.parametrize("case", REFERENCES)
def test_an_example_depends_on_the_others_only_where_it_is_documented(case):
    logits, labels = random_batch()
    mixed = logits.copy()
    mixed[N // 2 :] = confident_batch()[0][N // 2 :]
    alone, among_others = run(case, logits, labels), run(case, mixed, labels)
    same = np.array_equal(among_others[1][:, : N // 2], alone[1][:, : N // 2])
    assert same == (not REFERENCES[case].couples_batch)
    if not REFERENCES[case].couples_batch:
        np.testing.assert_array_equal(among_others[0][:, : N // 2], alone[0][:, : N // 2])


COUPLED = [case for case in REFERENCES if REFERENCES[case].couples_batch]
SPREADS = {
    "pmap": lambda function: jax.pmap(function, axis_name="devices"),
    "vmap": lambda function: jax.jit(jax.vmap(function, axis_name="devices")),
}


@pytest.mark.parametrize("case", COUPLED)
@pytest.mark.parametrize("spread", SPREADS)
def test_over_devices_as_in_one_batch(spread, case):
    logits, labels = random_batch()
    values, gradients = run(case, logits, labels)

    def on_one_device(logits, labels):
        ones, options = jnp.ones(labels.shape), REFERENCES[case].options[0]
        return value_and_gradient(case, logits, labels, ones, options, axis_name="devices")

    shards = logits.reshape(4, N // 4, C), labels.reshape(4, N // 4)
    value, gradient = SPREADS[spread](on_one_device)(*shards)
    close(value.reshape(N), values[0])
    close(gradient.reshape(N, C), gradients[0])


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_may_be_made_with_an_axis(name):
    found = next(found for found in REFERENCES.values() if found.loss == name)
    losses.create(name, axis_name="devices", **found.static, **found.options[0])


@pytest.mark.parametrize("case", REFERENCES)
def test_hyperparameters_do_not_widen_the_loss(case):
    logits, labels = random_batch()
    with jax.enable_x64(True):
        wide = {key: jnp.asarray(value, jnp.float64) for key, value in REFERENCES[case].options[0].items()}
        of_case = functools.partial(value_and_gradient, case, logits, labels, np.ones(N, np.float32))
        value, gradient = jax.eval_shape(of_case, wide)
    assert (value.dtype, gradient.dtype) == (jnp.float32, jnp.float32)


def batches(num_steps=8, batch=24):
    """Some steps: the step, the ids of its examples [B], their logits and labels."""
    rng, labels = np.random.default_rng(1), labels_of_all()
    for step in range(num_steps):
        ids = rng.permutation(N)[:batch]
        yield step, ids, rng.normal(size=(batch, C), scale=2).astype(np.float32), labels[ids]


def labels_of_all():
    return np.random.default_rng(0).integers(0, C, N)


@functools.cache
def compiled_with_memory(case):
    loss = losses.for_training(case, **MEMORY_REFERENCES[case].options)

    @jax.jit
    def apply(memory, ids, logits, labels, step):
        rows = losses.memory.gather(memory, ids)
        value, pullback, rows = jax.vjp(lambda z: loss.apply(z, labels, rows, step), logits, has_aux=True)
        return value, pullback(jnp.ones_like(value))[0], losses.memory.scatter(memory, ids, rows)

    return loss, apply


@pytest.mark.parametrize("case", MEMORY_REFERENCES)
def test_memory_over_several_steps(case):
    found, (loss, apply) = MEMORY_REFERENCES[case], compiled_with_memory(case)
    memory, expected = loss.init(jnp.asarray(labels_of_all()), C), found.init(labels_of_all(), C)
    np.testing.assert_allclose(np.float64(memory), np.float64(expected), rtol=1e-6)
    changed = 0
    for step, ids, logits, labels in batches():
        value, gradient, memory = apply(memory, ids, logits, labels, step)
        z = np.float64(logits)
        before = expected[ids]

        def of(moved, z=z, labels=labels, before=before, step=step):
            return found.apply(moved, z, labels, before, step, **found.options)

        expected_value, rows = of(z)
        close(value, expected_value)
        close(gradient, reference.differentiate(lambda moved, of=of: of(moved)[0], z))
        assert (value.dtype, gradient.dtype) == (jnp.float32, jnp.float32)
        changed += not np.array_equal(rows, before)
        expected = expected.copy()
        expected[ids] = rows
        np.testing.assert_allclose(np.float64(memory), np.float64(expected), rtol=1e-5, atol=1e-6)
    assert changed > 2 if found.changes else not changed


@pytest.mark.parametrize("case", MEMORY_REFERENCES)
def test_memory_with_extreme_logits_and_with_bfloat16(case):
    loss, apply = compiled_with_memory(case)
    logits, labels = extreme_batch()
    for step in (0, 5):
        for dtype in (jnp.float32, jnp.bfloat16):
            memory = loss.init(jnp.asarray(labels), C)
            value, gradient, memory = apply(memory, np.arange(N), jnp.asarray(logits, dtype), labels, step)
            assert (value.dtype, gradient.dtype) == (jnp.float32, dtype)
            for each in (value, gradient.astype(jnp.float32), memory):
                assert np.isfinite(each).all()


@pytest.mark.parametrize("case", MEMORY_REFERENCES)
def test_evaluation_without_memory(case):
    (logits, labels), found = random_batch(), MEMORY_REFERENCES[case]
    loss = losses.for_training(case, **found.options)
    value = jax.jit(loss.evaluate)(logits, labels, 3)
    close(value, found.evaluate(np.float64(logits), labels, **found.options))


@pytest.mark.parametrize("case", MEMORY_REFERENCES)
def test_memory_over_devices(case):
    found, (loss, apply) = MEMORY_REFERENCES[case], compiled_with_memory(case)
    (logits, labels), step = random_batch(), 5
    memory = loss.init(jnp.asarray(labels), C)
    ids = np.random.default_rng(3).permutation(N)
    value, gradient, expected = apply(memory, ids, logits[ids], labels[ids], step)
    per_device = losses.for_training(case, axis_name="devices", **found.options)

    def on_one_device(ids, logits, labels):
        rows = losses.memory.gather(memory, ids)
        value, pullback, rows = jax.vjp(
            lambda z: per_device.apply(z, labels, rows, step), logits, has_aux=True
        )
        return value, pullback(jnp.ones_like(value))[0], losses.memory.scatter(memory, ids, rows, "devices")

    shards = ids.reshape(4, -1), logits[ids].reshape(4, -1, C), labels[ids].reshape(4, -1)
    values, gradients, memories = jax.pmap(on_one_device, axis_name="devices")(*shards)
    np.testing.assert_allclose(values.reshape(N), value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradients.reshape(N, C), gradient, rtol=1e-5, atol=1e-6)
    for device in range(4):
        np.testing.assert_allclose(np.float64(memories[device]), np.float64(expected), rtol=1e-6)


def test_numbers_of_a_loss_with_memory_may_be_schedules():
    logits, labels = random_batch()
    scheduled = losses.for_training("elr", lam=lambda step: 1.0 + step, beta=lambda step: 0.9 - 0.1 * step)
    memory = np.full((N, C), 0.1, np.float32)
    for step in (0, 3):
        value, rows = jax.jit(scheduled.apply)(logits, labels, memory, step)
        z = np.float64(logits)
        expected = reference.elr(z, z, labels, memory, step, lam=1.0 + step, beta=0.9 - 0.1 * step)
        close(value, expected[0])
        close(rows, expected[1])


def test_numbers_of_a_loss_without_memory_may_be_schedules():
    logits, labels = random_batch()
    loss = losses.for_training("sce", alpha=lambda step: 1.0 / (1 + step), beta=2.0)
    assert loss.init(jnp.asarray(labels), C) == ()
    for step in (0, 3):
        value, rows = jax.jit(loss.apply)(logits, labels, (), step)
        assert rows == ()
        expected = REFERENCES["sce"].value(
            np.float64(logits),
            labels,
            alpha=1.0 / (1 + step),
            beta=2.0,
            log_zero=reference.LOG_ZERO,
            epsilon=0,
        )
        close(value, expected)
        close(jax.jit(loss.evaluate)(logits, labels, step), expected)


def test_gjs_of_several_views():
    (logits, labels), views = (
        random_batch(),
        np.random.default_rng(5).normal(size=(2, N, C)).astype(np.float32),
    )

    @jax.jit
    def value_and_gradients(logits, views):
        value, pullback = jax.vjp(lambda z, v: losses.gjs(z, labels, views=v, pi=0.3), logits, views)
        return value, pullback(jnp.ones_like(value))

    value, (gradient, of_views) = value_and_gradients(logits, views)
    z, v = np.float64(logits), np.float64(views)
    close(value, reference.gjs(z, labels, 0.3, v))
    close(gradient, reference.differentiate(lambda moved: reference.gjs(moved, labels, 0.3, v), z))
    for number in range(2):
        of_view = reference.differentiate(
            lambda moved, number=number: reference.gjs(z, labels, 0.3, [moved, v[1 - number]]), v[number]
        )
        close(of_views[number], of_view)
    with pytest.raises(ValueError, match="views must be"):
        losses.gjs(logits, labels, views=views[0])
