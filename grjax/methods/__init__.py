"""Methods: algorithms that own more than a loss, and their registry.

Adding one: write a function (parts, *, options) -> `Method` in a file of its own, and name it in `_METHODS`.
The tests in tests/test_methods.py run over every registered method.
"""

from collections.abc import Callable
from typing import Any

from grjax.methods.co_teaching import co_teaching
from grjax.methods.co_teaching_plus import co_teaching_plus
from grjax.methods.disc import disc
from grjax.methods.divide_mix import divide_mix
from grjax.methods.elr_plus import elr_plus
from grjax.methods.jocor import jocor
from grjax.methods.method import Learner, Method, Parts, Seen
from grjax.methods.network import with_options
from grjax.methods.pes import pes
from grjax.methods.pes_semi import pes_semi
from grjax.methods.posterior_emphasis import posterior_emphasis
from grjax.methods.single import single
from grjax.methods.sop import sop
from grjax.methods.vol_min_net import vol_min_net
from grjax.ranges import ranges_of
from grjax.registry import check_options, lookup

__all__ = [
    "Learner",
    "Method",
    "Parts",
    "Seen",
    "check",
    "co_teaching",
    "co_teaching_plus",
    "create",
    "disc",
    "divide_mix",
    "elr_plus",
    "jocor",
    "names",
    "pes",
    "pes_semi",
    "posterior_emphasis",
    "single",
    "sop",
    "vol_min_net",
]

_METHODS: dict[str, Callable[..., Method]] = {
    "co_teaching": co_teaching,
    "co_teaching_plus": co_teaching_plus,
    "disc": disc,
    "divide_mix": divide_mix,
    "elr_plus": elr_plus,
    "jocor": jocor,
    "pes": pes,
    "pes_semi": pes_semi,
    "posterior_emphasis": posterior_emphasis,
    "single": single,
    "sop": sop,
    "vol_min_net": vol_min_net,
}


def names() -> list[str]:
    """The names of all methods."""
    return sorted(_METHODS)


def check(name: str, **options: Any) -> dict[str, Any]:
    """Checks a method's name, and the names, types and ranges of its options; returns these.

    Options are those of the method and those of `grjax.methods.network.with_options`, which all have.

    Raises:
      ConfigError: an unknown method, or an option that it does not take or that is out of its range.
    """
    method = lookup("method.name", _METHODS, name)
    return check_options("method", name, (method, with_options), options, supplied=("parts",))


def create(name: str, parts: Parts, **options: Any) -> Method:
    """The method that a config names.

    Args:
      name: one of `names()`.
      parts: what it works with.
      **options: of the method.

    Raises:
      ConfigError: an unknown method, an option that it does not take or that is out of its range, or a config
        that it cannot work with.
    """
    own, shared = check(name, **options), {}
    for key in ranges_of(with_options):
        if key in own:
            shared[key] = own.pop(key)
    return _METHODS[name](with_options(parts, **shared), **own)
