"""The set-up of the host: what it changes and what it leaves, and never in a way that ends a run."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest
from untuned_process import ROOT, process

from grjax import host
from grjax.errors import ConfigError

FLAG = "--xla_cpu_experimental_ynn_fusion_type=reduce,eltwise"
GLIBC = host._c_library() is not None
needs_glibc = pytest.mark.skipif(not GLIBC, reason="malloc of another C library")


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """`host` as in a process in which neither it nor jax was used, with jaxlib 0.10.2 and glibc on x86-64."""
    calls = []

    class Library:
        def mallopt(self, parameter, value):
            calls.append((parameter, value))
            return 1

    monkeypatch.setattr(host, "_done", [])
    monkeypatch.setattr(host, "_c_library", Library)
    monkeypatch.setattr(host, "_accelerator", lambda environ: None)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.10.2")
    monkeypatch.setattr("os.confstr", lambda name: "glibc 2.36")
    kernel = tmp_path / "enabled"
    kernel.write_text("always [madvise] never\n")
    monkeypatch.setattr(host, "_KERNEL", kernel)
    monkeypatch.delitem(sys.modules, "jax")
    return calls


HUGE = "glibc.malloc.hugetlb=1"
NOT_ANEW = {"huge_pages": "needs a restart"}


@pytest.mark.parametrize("wish", [{}, {"GRJAX_TUNE_HOST": "1"}])
def test_malloc_stays_unless_asked(fresh, wish):
    assert host.tune({**wish}) == host.Tuning(FLAG, False, {}, NOT_ANEW)
    assert fresh == []


def test_flag_and_malloc_are_set_once(fresh):
    environ = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "GRJAX_TUNE_HOST": "malloc"}
    tuning = host.tune(environ)
    assert environ["XLA_FLAGS"] == f"--xla_force_host_platform_device_count=2 {FLAG}"
    # M_MMAP_MAX, M_TRIM_THRESHOLD and M_ARENA_MAX of malloc.h.
    assert fresh == [(-4, 0), (-1, 2**31 - 1), (-8, 1)]
    assert tuning == host.Tuning(
        FLAG, False, {"M_MMAP_MAX": 0, "M_TRIM_THRESHOLD": 2**31 - 1, "M_ARENA_MAX": 1}, left=NOT_ANEW
    )
    assert host.tune(environ) is host.tuned() is tuning
    assert len(fresh) == 3
    assert environ["XLA_FLAGS"].count(FLAG) == 1


def test_a_process_that_a_tuned_one_started_sets_its_malloc(fresh):
    environ = {"XLA_FLAGS": FLAG, "GRJAX_TUNE_HOST": "malloc"}
    assert host.tune(environ).xla_flag == FLAG
    assert environ == {"XLA_FLAGS": FLAG, "GRJAX_TUNE_HOST": "malloc"}
    assert len(fresh) == 3


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"GRJAX_TUNE_HOST": "0"}, "GRJAX_TUNE_HOST=0"),
        (
            {"XLA_FLAGS": "--xla_a=1 --xla_cpu_experimental_ynn_fusion_type=-individual_convolution"},
            "XLA_FLAGS has --xla_cpu_experimental_ynn_fusion_type=-individual_convolution",
        ),
    ],
)
def test_what_the_user_says_stands(fresh, environ, reason):
    before = dict(environ)
    tuning = host.tune(environ, restart="GRJAX_TUNE_HOST" in environ)
    assert (tuning.xla_flag, tuning.malloc, tuning.left["xla_flag"]) == (None, {}, reason)
    assert environ == before
    assert fresh == []


@pytest.mark.parametrize(
    "environ", [{"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}, {"MALLOC_ARENA_MAX": "2"}]
)
def test_malloc_that_the_environment_sets_stays(fresh, environ):
    name = next(iter(environ))
    tuning = host.tune(environ | {"GRJAX_TUNE_HOST": "malloc"}, restart=True)
    left = {"malloc": f"{name} is set", "huge_pages": f"{name} is set"}
    assert (tuning.xla_flag, tuning.malloc, tuning.left) == (FLAG, {}, left)
    assert fresh == []


class RestartedError(Exception):
    """Instead of `os.execve`, which never returns."""


@pytest.mark.parametrize("others", ["", "glibc.cpu.hwcaps=-AVX512F"])
def test_a_program_is_started_once_more_with_huge_pages(fresh, monkeypatch, others):
    def execve(program, arguments, environ):
        raise RestartedError(program, arguments, environ["GLIBC_TUNABLES"])

    monkeypatch.setattr("os.execve", execve)
    monkeypatch.setattr("sys.orig_argv", ["python", "-u", "run.py", "--workdir=a b"])
    monkeypatch.setattr("sys.gettrace", lambda: None)
    environ = {"GLIBC_TUNABLES": others} if others else {}
    wanted = f"{others}:{HUGE}" if others else HUGE
    with pytest.raises(RestartedError) as anew:
        host.tune(environ, restart=True)
    assert anew.value.args == (sys.executable, [sys.executable, "-u", "run.py", "--workdir=a b"], wanted)
    tuning = host.tune({"GLIBC_TUNABLES": wanted}, restart=True)  # as it is then
    assert (tuning.xla_flag, tuning.huge_pages, tuning.left) == (FLAG, True, {})


@pytest.mark.parametrize(
    ("setting", "glibc", "arguments", "reason"),
    [
        ("[always] madvise never", "2.36", ["python", "run.py"], "the kernel's setting is"),
        ("always madvise [never]", "2.36", ["python", "run.py"], "the kernel's setting is"),
        (None, "2.36", ["python", "run.py"], "the kernel has none"),
        ("always [madvise] never", "2.31", ["python", "run.py"], "glibc 2.31 does not know how"),
        ("always [madvise] never", "2.36", ["python", "-"], "the program was read from standard input"),
        ("always [madvise] never", "2.36", ["python"], "the program was read from standard input"),
    ],
)
def test_a_program_is_not_started_once_more_where_that_helps_nobody(
    fresh, monkeypatch, setting, glibc, arguments, reason
):
    monkeypatch.setattr("os.confstr", lambda name: f"glibc {glibc}")
    monkeypatch.setattr("sys.orig_argv", arguments)
    if setting is None:
        host._KERNEL.unlink()
    else:
        host._KERNEL.write_text(setting)
    tuning = host.tune({}, restart=True)
    assert (tuning.xla_flag, tuning.huge_pages) == (FLAG, False)
    assert tuning.left["huge_pages"].startswith(reason)


def test_a_program_that_a_debugger_follows_is_not_started_once_more(fresh, monkeypatch):
    monkeypatch.setattr("os.execve", lambda *anew: pytest.fail("started once more"))
    monkeypatch.setattr("sys.orig_argv", ["python", "run.py"])
    monkeypatch.setattr("sys.gettrace", lambda: print)
    assert host.tune({}, restart=True).left == {"huge_pages": "a debugger follows the program"}


ANEW = """
import os, sys
from grjax import host
tuning = host.tune(restart=True)
print(os.getpid(), sys.argv[1:], sys.flags.utf8_mode, tuning.huge_pages)
"""


def test_a_program_that_started_once_more_is_the_same_process(tmp_path):
    (tmp_path / "program.py").write_text(ANEW)
    untouched = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    started = subprocess.Popen(
        [sys.executable, "-X", "utf8", tmp_path / "program.py", "a b", "--c=d"],
        env=untouched | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    output, _ = started.communicate(timeout=60)
    helps = GLIBC and host._against_huge_pages({}) in (None, "jax was imported before")
    assert output == f"{started.pid} ['a b', '--c=d'] 1 {helps}\n"


def test_another_value_for_the_switch_is_an_error(fresh):
    with pytest.raises(ConfigError, match="GRJAX_TUNE_HOST: must be 0, 1 or malloc, got 'no'"):
        host.tune({"GRJAX_TUNE_HOST": "no"})


def test_nothing_is_set_under_another_c_library(fresh, monkeypatch):
    monkeypatch.setattr(host, "_c_library", lambda: None)
    environ = {}
    tuning = host.tune(environ)
    assert (tuning.xla_flag, tuning.malloc, environ) == (None, {}, {})
    assert tuning.left["xla_flag"] == "the C library is not glibc"


def musl(name):
    raise ValueError("unrecognized configuration name")


@pytest.mark.parametrize("confstr", [musl, lambda name: None, lambda name: "NPTL 2"])
def test_other_c_libraries_are_known(monkeypatch, confstr):
    monkeypatch.setattr("os.confstr", confstr)
    assert host._c_library() is None


@pytest.mark.parametrize(
    ("platforms", "plugins", "expected"),
    [
        ("cpu", ["cuda12"], None),
        ("cpu,cuda", ["cuda12"], None),
        ("cuda", [], "JAX_PLATFORMS=cuda"),
        ("tpu,cpu", [], "JAX_PLATFORMS=tpu,cpu"),
        (None, [], None),
        (None, ["xla_cuda12"], "jax has a plugin for an accelerator, xla_cuda12"),
    ],
)
def test_an_accelerator_is_known(monkeypatch, tmp_path, platforms, plugins, expected):
    (tmp_path / "jax_plugins").mkdir()
    for name in plugins:
        (tmp_path / "jax_plugins" / f"{name}.py").touch()
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert host._accelerator({} if platforms is None else {"JAX_PLATFORMS": platforms}) == expected


def test_nothing_is_set_for_an_accelerator(fresh, monkeypatch):
    monkeypatch.setattr(host, "_accelerator", lambda environ: "JAX_PLATFORMS=cuda")
    environ = {}
    assert host.tune(environ).xla_flag is None
    assert (environ, fresh) == ({}, [])


@pytest.mark.parametrize("version", ["0.9.2", "0.13.0", "1.0"])
def test_a_jaxlib_that_was_not_tried_gets_no_flag(fresh, monkeypatch, version):
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    environ = {"GRJAX_TUNE_HOST": "malloc"}
    tuning = host.tune(environ)
    assert (tuning.xla_flag, environ) == (None, {"GRJAX_TUNE_HOST": "malloc"})
    assert tuning.left == {"xla_flag": f"not tried with jaxlib {version}", **NOT_ANEW}
    assert tuning.malloc


@pytest.mark.parametrize("version", ["0.10.0", "0.10.2", "0.11.1", "0.12.0.1", "0.12.1.dev20260101"])
def test_a_jaxlib_that_was_tried_gets_the_flag(fresh, monkeypatch, version):
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    assert host.tune({}).xla_flag == FLAG


def test_too_late_for_the_flag(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", object())
    environ = {}
    tuning = host.tune(environ)
    late = "jax was imported before"
    assert (tuning.left, environ) == ({"xla_flag": late, "huge_pages": late}, {})


def test_other_processors_and_files_of_flags_get_no_flag(fresh, monkeypatch):
    environ = {"XLA_FLAGS": "flags.txt"}
    assert host.tune(environ).left["xla_flag"] == "XLA_FLAGS is the name of a file"
    assert environ == {"XLA_FLAGS": "flags.txt"}
    monkeypatch.setattr(host, "_done", [])
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert host.tune({}).left["xla_flag"] == "not measured on aarch64"


COMPUTE = """
import json, sys
from grjax import host
assert "jax" not in sys.modules, "the import of grjax.host imports jax"
tuning = host.tune()
import jax, jax.numpy as jnp
x = jnp.ones((4, 8, 8, 3))
y = jax.lax.conv(x, jnp.ones((8, 8, 3, 3)), (1, 1), "SAME")
print(json.dumps([tuning.xla_flag, float(y.sum())]))
"""


def test_the_installed_jaxlib_knows_the_flag_it_is_given():
    # XLA would abort the process. `.ci/run` runs this on each supported pair of Python and jax.
    flag, total = json.loads(process(COMPUTE))
    first, end = host._KNOWN_BY
    known = first <= tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < end
    assert (flag == FLAG) == (known and GLIBC and host.platform.machine() == "x86_64")
    assert total > 0


FAULTS = """
import resource, sys
from grjax import host
if sys.argv[1] == "tuned":
    host.tune()
import numpy as np
for number in range(20):
    if number == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**23)  # 64 MB, freed at once: above what malloc by itself learns to keep
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@needs_glibc
def test_memory_that_was_freed_is_taken_again():
    # Huge pages may be faults of 2 MB: fewer, but each array has its own.
    assert int(process(FAULTS, "untouched")) >= 15
    assert int(process(FAULTS, "tuned", GRJAX_TUNE_HOST="malloc")) < 5


TRAIN = """
import hashlib, sys
from grjax import host
tuning = host.tune()
import jax, numpy as np
from grjax import config, experiment
from grjax.evaluate import device_data
from grjax.devices import parallelize, replicate, spread
small = {"data": {"dir": sys.argv[1]}, "model": {"features": (8,), "hidden": 16}, "train_steps": 6}
parts = experiment.create(config.resolve(small))
state, data, step = replicate(parts.init_state()), device_data(parts), parallelize(parts.train_step())
for batch in parts.train_batches(0):
    state, metrics = step(state, data, spread(batch))
params = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state.learner.params))
print(bool(tuning.malloc), hashlib.sha256(params).hexdigest(), float(metrics["loss"][-1]))
"""


@pytest.mark.slow
@needs_glibc
def test_malloc_and_huge_pages_change_no_bit_and_the_flag_rounding_alone(data_dir):
    with_flag = {"XLA_FLAGS": FLAG} if json.loads(process(COMPUTE))[0] else {}
    tuned, *ours = process(TRAIN, data_dir, **with_flag, GRJAX_TUNE_HOST="malloc").split()
    untouched, *theirs = process(TRAIN, data_dir, **with_flag, GRJAX_TUNE_HOST="0").split()
    assert (tuned, untouched) == ("True", "False")
    _, *with_huge_pages = process(
        TRAIN, data_dir, **with_flag, GRJAX_TUNE_HOST="0", GLIBC_TUNABLES=HUGE
    ).split()
    assert ours == theirs == with_huge_pages
    *_, loss = process(TRAIN, data_dir, GRJAX_TUNE_HOST="0").split()
    assert float(loss) == pytest.approx(float(ours[1]), rel=1e-4)


def test_a_program_that_the_kernels_do_not_take_is_one_line():
    import jax

    from grjax import cli

    with pytest.raises(ConfigError, match=r"layout in YNN fusion.*GRJAX_TUNE_HOST=0"), cli._jax_explained():
        raise jax.errors.JaxRuntimeError(
            "INVALID_ARGUMENT: Instruction with unsupported layout in YNN fusion: %p = f32[50,2000]{0,1}"
        )
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"), cli._jax_explained():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
