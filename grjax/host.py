"""Sets the host up for training on a CPU: what XLA and the C library must be told before jax is imported.

XLA leaves convolutions on a CPU to a library of kernels, YNN, that keeps one core busy and makes a step
several times as long as it needs to be. An entry point calls `tune` first, as `run.py` does; the library
never does.

  from grjax import host

  host.tune(restart=True)

  import jax

`restart` starts the process once more, with huge pages for malloc: glibc reads that wish from the environment
when a process begins. `GRJAX_TUNE_HOST=0` in the environment leaves everything unchanged.
`GRJAX_TUNE_HOST=malloc` makes malloc keep what is freed, too: ResNets may gain, small networks lose, and
large ones take twice the memory. `docs/guide/speed.md` has what was measured.
"""

import ctypes
import dataclasses
import importlib.metadata
import importlib.util
import os
import pkgutil
import platform
import sys
from collections.abc import MutableMapping
from pathlib import Path

from grjax.errors import ConfigError

VARIABLE = "GRJAX_TUNE_HOST"

# YNN keeps sums and elementwise chains; convolutions and products go to Eigen, which uses all cores. Some of
# its elementwise operations are not XLA's: `grjax.data.eight_bits` refuses conversions that it rounds, and
# after a maximum that drops NaN the loop still finds parameters that are not finite. See docs/guide/speed.md.
_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
_VALUE = "reduce,eltwise"
# XLA ends the process over a flag that it does not know, and this one is experimental. Every jaxlib from the
# first of these versions to before the second knows it: tried with 0.10.0 to 0.12.0.1.
_KNOWN_BY = ((0, 10), (0, 13))

# A step maps its temporary arrays afresh. With huge pages that is a page fault for every 2 MB instead of
# every 4 kB. glibc asks for them since version 2.35, if the kernel's setting is that it must be asked.
_HUGE_PAGES = "glibc.malloc.hugetlb=1"
_HUGE_PAGES_SINCE = (2, 35)
_KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")

# The names and values of glibc's malloc.h. No allocation is mapped by itself, and nothing freed goes back to
# the system, so a step finds the pages of the step before, without a page fault for every 4 kB. One heap for
# all threads, which would otherwise each keep pages of their own; threads wait for each other there.
_MALLOC = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_ARENA_MAX": (-8, 1)}


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What `tune` did in this process."""

    xla_flag: str | None  # in XLA_FLAGS; None: not there
    huge_pages: bool  # malloc of this process was begun with them
    malloc: dict[str, int]  # parameters of glibc's malloc that were set
    left: dict[str, str]  # what was left unchanged, and why: 'xla_flag', 'huge_pages', 'malloc'


# A process has one environment and one malloc, so what was done to them is known once, too.
_done: list[Tuning] = []


def tune(environ: MutableMapping[str, str] = os.environ, *, restart: bool = False) -> Tuning:
    """Sets up XLA and malloc of this process for training on a CPU, where that is known to help.

    Call it before jax is imported, in a program of your own; a library leaves it to the program. On Linux
    with glibc, where jax will compute on the CPU, it adds a flag to `XLA_FLAGS`. Nothing is set on other
    systems, for an accelerator, or where `XLA_FLAGS` has the flag with another value. Where
    `GLIBC_TUNABLES` or a `MALLOC_` variable says what malloc does, malloc stays. With
    `GRJAX_TUNE_HOST=malloc` freed memory stays with the process, for its next allocation;
    `GRJAX_TUNE_HOST=0` leaves all. Processes that this one starts inherit the environment, and with it flag
    and huge pages.

    Args:
      environ: the environment that is read, and whose `XLA_FLAGS` and `GLIBC_TUNABLES` are set.
      restart: start the program once more from its beginning, by `os.execve` with the same arguments, where
        malloc would then use huge pages. It must be called before the program has done anything.

    Returns:
      What was set, and why not the rest. Further calls do nothing and return the same.

    Raises:
      ConfigError: `GRJAX_TUNE_HOST` is something other than 0, 1 or malloc.

    Example:
      >>> tuning = tune()
      >>> sorted(tuning.left) if tuning.xla_flag is None else tuning.xla_flag  # doctest: +SKIP
      '--xla_cpu_experimental_ynn_fusion_type=reduce,eltwise'
    """
    if _done:
        return _done[0]
    left: dict[str, str] = {}
    flag, malloc = None, {}
    huge_pages = _HUGE_PAGES in _tunables(environ)  # as this process was started
    if reason := _against_all(environ):
        left = {"xla_flag": reason} | ({} if huge_pages else {"huge_pages": reason})
    else:
        if not huge_pages:
            left["huge_pages"] = (
                _against_huge_pages(environ) or (_start_anew(environ) if restart else "needs a restart")
            )  # fmt: skip
        if reason := _against_flag(environ):
            left["xla_flag"] = reason
        else:
            flag = f"{_FLAG}={_VALUE}"
            if flag not in _words(environ):  # a process that was started by one that is tuned has it
                environ["XLA_FLAGS"] = f"{environ.get('XLA_FLAGS', '')} {flag}".strip()
        if environ.get(VARIABLE) == "malloc":
            if reason := _against_malloc(environ):
                left["malloc"] = reason
            else:
                malloc = _set_malloc(left)
    _done.append(Tuning(flag, huge_pages, malloc, left))
    return _done[0]


def explained(error: BaseException) -> str | None:
    """What to do about an error of XLA that the set-up brought about; None: it is another error.

    XLA gives chains of elementwise operations to YNN without asking whether YNN takes the order in which
    their arrays lie in memory. Vmapped trials have met that; see docs/guide/speed.md.
    """
    if "YNN fusion" not in str(error):
        return None
    return (
        f"XLA's kernels for this CPU do not take the program ({str(error).splitlines()[0][:160]}); start the "
        f"same command with {VARIABLE}=0 in the environment"
    )


def tuned() -> Tuning | None:
    """What `tune` did in this process; None: it was not called."""
    return _done[0] if _done else None


def _against_all(environ: MutableMapping[str, str]) -> str | None:
    """Why nothing is set; None: something may be."""
    wish = environ.get(VARIABLE, "1")
    if wish not in ("0", "1", "malloc"):
        raise ConfigError(f"{VARIABLE}: must be 0, 1 or malloc, got {wish!r}")
    if wish == "0":
        return f"{VARIABLE}=0"
    if _c_library() is None:
        return "the C library is not glibc"
    if accelerator := _accelerator(environ):
        return f"{accelerator}; JAX_PLATFORMS=cpu says that the CPU computes"
    return None


def _against_flag(environ: MutableMapping[str, str]) -> str | None:
    """Why XLA's flag is not set; None: it is."""
    for word in _words(environ):
        if word.partition("=")[0] == _FLAG and word != f"{_FLAG}={_VALUE}":
            return f"XLA_FLAGS has {word}"
    if "jax" in sys.modules and f"{_FLAG}={_VALUE}" not in _words(environ):
        return "jax was imported before"
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"not measured on {platform.machine()}"
    if _words(environ) and not _words(environ)[0].startswith("-"):
        return "XLA_FLAGS is the name of a file"
    try:
        version = importlib.metadata.version("jaxlib")
    except importlib.metadata.PackageNotFoundError:
        return "jaxlib is not installed"
    first, end = _KNOWN_BY
    if not first <= tuple(int(part) for part in version.split(".")[:2]) < end:
        return f"not tried with jaxlib {version}"
    return None


def _against_huge_pages(environ: MutableMapping[str, str]) -> str | None:
    """Why malloc is to have no huge pages; None: it would gain by them."""
    if reason := _against_malloc(environ):
        return reason
    version = (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
    if tuple(int(part) for part in version.split(".")[:2]) < _HUGE_PAGES_SINCE:
        return f"glibc {version} does not know how"
    try:
        setting = _KERNEL.read_text()
    except OSError:
        return "the kernel has none"
    if "[madvise]" not in setting:
        return f"the kernel's setting is {setting.strip()!r}"
    if "jax" in sys.modules:
        return "jax was imported before"
    return None


def _start_anew(environ: MutableMapping[str, str]) -> str:
    """Never returns, or says why the program could not be started once more."""
    if len(sys.orig_argv) < 2 or "-" in sys.orig_argv[1:2]:
        return "the program was read from standard input"
    if sys.gettrace() is not None or "debugpy" in sys.modules or "pydevd" in sys.modules:
        return "a debugger follows the program"
    anew = dict(environ) | {"GLIBC_TUNABLES": ":".join([*_tunables(environ), _HUGE_PAGES])}
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], anew)
    except OSError as error:
        return f"not started once more: {error}"


def _against_malloc(environ: MutableMapping[str, str]) -> str | None:
    """Why malloc is left unchanged; None: it is set."""
    if any(word.startswith("glibc.malloc.") and word != _HUGE_PAGES for word in _tunables(environ)):
        return "GLIBC_TUNABLES is set"
    return next((f"{name} is set" for name in environ if name.startswith("MALLOC_")), None)


def _set_malloc(left: dict[str, str]) -> dict[str, int]:
    """Sets malloc's parameters; says in `left` which it did not, and returns those it did."""
    library, found = _c_library(), {}
    for name, (parameter, value) in _MALLOC.items():
        if library is not None and library.mallopt(parameter, value) == 1:
            found[name] = value
        else:
            left["malloc"] = f"mallopt refused {name}"
    return found


def _c_library() -> ctypes.CDLL | None:
    """The process' C library if it is glibc."""
    try:
        if not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return None
    except (AttributeError, OSError, ValueError):  # musl and macOS know no such name, Windows no confstr
        return None
    return ctypes.CDLL(None)


def _accelerator(environ: MutableMapping[str, str]) -> str | None:
    """What says that jax will not compute on the CPU; None: it will."""
    if platforms := environ.get("JAX_PLATFORMS"):
        return None if platforms.split(",")[0].strip() == "cpu" else f"JAX_PLATFORMS={platforms}"
    plugins = [entry.name for entry in importlib.metadata.entry_points(group="jax_plugins")]
    spec = importlib.util.find_spec("jax_plugins")
    if spec is not None:
        plugins += [module.name for module in pkgutil.iter_modules(spec.submodule_search_locations)]
    if importlib.util.find_spec("libtpu"):
        plugins.append("libtpu")
    return f"jax has a plugin for an accelerator, {plugins[0]}" if plugins else None


def _tunables(environ: MutableMapping[str, str]) -> list[str]:
    return [word for word in environ.get("GLIBC_TUNABLES", "").split(":") if word]


def _words(environ: MutableMapping[str, str]) -> list[str]:
    return environ.get("XLA_FLAGS", "").split()
