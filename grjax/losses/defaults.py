"""Published hyper-parameters of losses for each data set, as data with their source.

The defaults in the losses' signatures are those of CIFAR-10 where there are any, except for `js`, `gjs`,
`focal`, `ldr_kl`, `logit_clip` and `ngce`, whose signatures have the plain loss, and for Gradient Rescaling
and IMAE, which have none.
Where sources disagree, the one of the loss' authors is taken and the other is named.
"""

from typing import Any, NamedTuple


class Published(NamedTuple):
    """Hyper-parameters and where they stand."""

    options: dict[str, Any]
    source: str


_APL = "code of APL (Ma et al., ICML 2020)"
_ALF = "code of ALFs (Zhou et al., ICML 2021)"
_ANL = "code of ANL (Ye et al., NeurIPS 2023)"
_JAL = "code of JAL (ICCV 2025)"
_PUBLIC = "public code of the field"
_SCE = "code of SCE (Wang et al., ICCV 2019)"
_PHUBER = "re-implementation of Menon et al., ICLR 2020"
_EPS = "code of epsilon-softmax (NeurIPS 2024), symmetric noise"
_ELR = "code of ELR (Liu et al., NeurIPS 2020), symmetric noise"
_LDR = "code of LDR (Zhu et al., ICML 2023), which takes normalised softplus scores; JAL's as well"
_CLIP = "code of JAL (ICCV 2025), which clips to 1 / threshold"

# The losses that the table of digits tunes are here too: they have no other published value.
_OURS = "configs/digits.py, chosen on a validation split"

_PUBLISHED: dict[str, dict[str, Published]] = {
    "gradient_rescaling": {
        "cifar100": Published({"lam": 0.5, "beta": 8.0}, "arXiv:1905.11233, table 6, 40% symmetric noise"),
        "cifar10": Published(
            {"lam": 0.5, "beta": 12.0}, "arXiv:1905.11233, table 9, best for 20% symmetric noise"
        ),
        "clothing1m": Published({"lam": 1.0, "beta": 2.0}, "arXiv:1905.11233"),
        "digits": Published({"lam": 1.0, "beta": 16.0}, _OURS),
    },
    "imae": {
        "digits": Published({"beta": 16.0}, _OURS),
    },
    "gce": {
        "cifar10": Published({"q": 0.7}, "Zhang & Sabuncu, NeurIPS 2018"),
        "cifar100": Published({"q": 0.7}, "Zhang & Sabuncu, NeurIPS 2018"),
        "clothing1m": Published({"q": 0.6}, _JAL),
        "webvision": Published({"q": 0.7}, f"{_PUBLIC}; JAL has 0.6"),
    },
    "ngce": {
        "cifar10": Published({"q": 0.1}, _APL),
        "mnist": Published({"q": 0.1}, _APL),
    },
    "truncated_gce": {
        "cifar10": Published({"q": 0.7, "k": 0.5}, "Zhang & Sabuncu, NeurIPS 2018"),
        "cifar100": Published({"q": 0.7, "k": 0.5}, "Zhang & Sabuncu, NeurIPS 2018"),
    },
    "sce": {
        "cifar10": Published({"alpha": 0.1, "beta": 1.0}, f"{_SCE}; ALFs' baseline has (1, 1)"),
        "cifar100": Published({"alpha": 6.0, "beta": 0.1}, f"{_SCE}; ALFs' baseline has (1, 1)"),
        "mnist": Published({"alpha": 0.01, "beta": 1.0}, _PUBLIC),
        "webvision": Published({"alpha": 10.0, "beta": 1.0}, _PUBLIC),
        "clothing1m": Published({"alpha": 10.0, "beta": 1.0}, _PUBLIC),
    },
    "focal": {
        "cifar10": Published({"gamma": 0.5, "detached": True}, _APL),
        "cifar100": Published({"gamma": 0.5, "detached": True}, _APL),
        "mnist": Published({"gamma": 0.5, "detached": True}, _APL),
    },
    "phuber_ce": {
        "cifar10": Published({"tau": 2.0}, _PHUBER),
        "cifar100": Published({"tau": 10.0}, f"{_PHUBER}; 50 is given too"),
        "mnist": Published({"tau": 10.0}, _PHUBER),
    },
    "phuber_gce": {
        "cifar10": Published({"tau": 10.0, "q": 0.7}, _PHUBER),
        "cifar100": Published({"tau": 10.0, "q": 0.7}, _PHUBER),
        "mnist": Published({"tau": 10.0, "q": 0.7}, _PHUBER),
    },
    "agce": {
        "cifar10": Published({"a": 0.6, "q": 0.6}, _ALF),
        "mnist": Published({"a": 4.0, "q": 0.2}, _ALF),
        "webvision": Published({"a": 1e-5, "q": 0.5}, _ALF),
        "clothing1m": Published({"a": 1e-5, "q": 0.5}, _ALF),
    },
    "aul": {
        "cifar10": Published({"a": 5.5, "q": 3.0}, _ALF),
        "mnist": Published({"a": 3.0, "q": 0.1}, _ALF),
    },
    "ael": {
        "cifar10": Published({"a": 2.5}, _ALF),
        "mnist": Published({"a": 3.5}, _ALF),
    },
    "nce_rce": {
        "cifar10": Published({"alpha": 1.0, "beta": 1.0}, _APL),
        "cifar100": Published({"alpha": 10.0, "beta": 0.1}, f"{_APL}; ALFs' baseline has beta 1"),
        "mnist": Published({"alpha": 1.0, "beta": 10.0}, f"{_APL}; ALFs' baseline has (1, 100)"),
        "webvision": Published({"alpha": 50.0, "beta": 0.1}, _APL),
        "clothing1m": Published({"alpha": 10.0, "beta": 1.0}, _PUBLIC),
    },
    "nfl_rce": {
        "cifar10": Published({"alpha": 1.0, "beta": 1.0}, _APL),
        "cifar100": Published({"alpha": 10.0, "beta": 0.1}, _APL),
        "mnist": Published({"alpha": 1.0, "beta": 10.0}, f"{_APL}; ALFs' baseline has (1, 100)"),
        "webvision": Published({"alpha": 50.0, "beta": 0.1}, _APL),
    },
    "nfl_mae": {
        "cifar10": Published({"alpha": 1.0, "beta": 1.0}, _APL),
        "cifar100": Published({"alpha": 10.0, "beta": 1.0}, _APL),
        "mnist": Published({"alpha": 1.0, "beta": 10.0}, _APL),
        "webvision": Published({"alpha": 50.0, "beta": 1.0}, _APL),
    },
    "nce_mae": {
        "cifar10": Published({"alpha": 1.0, "beta": 1.0}, _APL),
        "cifar100": Published({"alpha": 10.0, "beta": 1.0}, f"{_APL}; ANL's and JAL's baseline has beta 0.1"),
        "mnist": Published({"alpha": 1.0, "beta": 10.0}, _APL),
    },
    "nce_agce": {
        "cifar10": Published({"alpha": 1.0, "beta": 4.0, "a": 6.0, "q": 1.5}, _ALF),
        "cifar100": Published({"alpha": 10.0, "beta": 0.1, "a": 1.8, "q": 3.0}, _ALF),
        "mnist": Published({"alpha": 0.0, "beta": 1.0, "a": 4.0, "q": 0.2}, _ALF),
        "webvision": Published({"alpha": 50.0, "beta": 0.1, "a": 2.5, "q": 3.0}, _ALF),
        "clothing1m": Published({"alpha": 50.0, "beta": 0.1, "a": 2.5, "q": 3.0}, _ALF),
    },
    "nce_aul": {
        "cifar10": Published({"alpha": 1.0, "beta": 4.0, "a": 6.3, "q": 1.5}, _ALF),
        "cifar100": Published({"alpha": 10.0, "beta": 0.015, "a": 6.0, "q": 3.0}, _ALF),
        "mnist": Published({"alpha": 0.0, "beta": 1.0, "a": 3.0, "q": 0.1}, _ALF),
    },
    "nce_ael": {
        "cifar10": Published({"alpha": 1.0, "beta": 4.0, "a": 5.0}, _ALF),
        "cifar100": Published({"alpha": 10.0, "beta": 0.1, "a": 1.5}, _ALF),
        "mnist": Published({"alpha": 0.0, "beta": 1.0, "a": 3.5}, _ALF),
    },
    "anl_ce": {
        "cifar10": Published({"alpha": 5.0, "beta": 5.0}, f"{_ANL}, with an L1 penalty of 5e-5"),
        "cifar100": Published({"alpha": 10.0, "beta": 1.0}, f"{_ANL}, with an L1 penalty of 5e-7"),
        "mnist": Published({"alpha": 1.0, "beta": 1.0}, _ANL),
        "webvision": Published({"alpha": 20.0, "beta": 1.0}, _ANL),
        "clothing1m": Published({"alpha": 5.0, "beta": 0.1}, _ANL),
    },
    "anl_ce_er": {
        "cifar10": Published({"alpha": 5.0, "beta": 5.0, "lam": 2.0}, f"{_ANL}, later code"),
        "cifar100": Published({"alpha": 10.0, "beta": 1.0, "lam": 0.01}, f"{_ANL}, later code"),
    },
    "anl_fl": {
        "cifar10": Published({"alpha": 5.0, "beta": 5.0}, f"{_ANL}, with an L1 penalty of 5e-5"),
        "cifar100": Published({"alpha": 10.0, "beta": 1.0}, f"{_ANL}, with an L1 penalty of 5e-7"),
        "mnist": Published({"alpha": 1.0, "beta": 1.0}, _ANL),
        "webvision": Published({"alpha": 20.0, "beta": 1.0}, _ANL),
        "clothing1m": Published({"alpha": 5.0, "beta": 0.1}, _ANL),
    },
    "jal_ce": {
        "cifar10": Published({"alpha": 1.0, "beta": 1.0, "a": 30.0}, f"{_JAL}, with an L1 penalty of 5e-5"),
        "cifar100": Published({"alpha": 5.0, "beta": 1.0, "a": 20.0}, f"{_JAL}, with an L1 penalty of 5e-6"),
        "clothing1m": Published({"alpha": 5.0, "beta": 0.1, "a": 5.0}, _JAL),
        "webvision": Published({"alpha": 50.0, "beta": 1.0, "a": 30.0}, _JAL),
    },
    "jal_fl": {
        "cifar10": Published({"alpha": 1.0, "beta": 1.0, "a": 30.0}, f"{_JAL}, with an L1 penalty of 5e-5"),
        "cifar100": Published({"alpha": 5.0, "beta": 1.0, "a": 20.0}, f"{_JAL}, with an L1 penalty of 5e-6"),
        "clothing1m": Published({"alpha": 5.0, "beta": 0.1, "a": 5.0}, _JAL),
        "webvision": Published({"alpha": 50.0, "beta": 1.0, "a": 30.0}, _JAL),
    },
    "epsilon_softmax": {
        "cifar10": Published(
            {"alpha": 0.01, "beta": 5.0, "m": 1e5},
            f"{_EPS}; asymmetric: alpha .02, m 1e3; instance-dependent: alpha .045, beta 10, m 1e5",
        ),
        "cifar100": Published(
            {"alpha": 0.03, "beta": 1.0, "m": 1e4},
            f"{_EPS} of 40%; alpha .05, .00125, .0075 for 20, 60, 80%; asymmetric: alpha .015, .007, .005, "
            ".004 for 10, 20, 30, 40%, m 1e2",
        ),
        "webvision": Published({"alpha": 0.015, "beta": 0.3, "m": 1e3}, "code of epsilon-softmax"),
        "clothing1m": Published({"alpha": 0.012, "beta": 0.1, "m": 1e3}, "code of epsilon-softmax"),
    },
    "js": {
        "cifar10": Published({"pi": 0.7}, "Englesson & Azizpour, NeurIPS 2021: 20 and 40% symmetric"),
        "cifar100": Published({"pi": 0.3}, "Englesson & Azizpour, NeurIPS 2021: 40% symmetric; .1 for 20%"),
    },
    "gjs": {
        "cifar10": Published({"pi": 0.9}, "Englesson & Azizpour, NeurIPS 2021: 40% symmetric; .3 for 20%"),
        "cifar100": Published({"pi": 0.5}, "Englesson & Azizpour, NeurIPS 2021: 40% symmetric; .3 for 20%"),
    },
    "logit_clip": {
        "cifar10": Published(
            {"delta": 2.5, "threshold": 0.4},
            f"{_CLIP}; the authors' code (Wei et al., ICML 2023), 50% symmetric: threshold 1.5, delta .667",
        ),
        "cifar100": Published({"delta": 0.5, "threshold": 2.0}, _CLIP),
    },
    "ldr_kl": {
        "cifar10": Published({"lam": 10.0, "margin": 0.1, "scores": "softplus"}, _LDR),
        "cifar100": Published({"lam": 1.0, "margin": 0.1, "scores": "softplus"}, _LDR),
    },
    "elr": {
        "cifar10": Published({"lam": 3.0, "beta": 0.7}, f"{_ELR}; asymmetric: lam 1, beta 0.9"),
        "cifar100": Published({"lam": 7.0, "beta": 0.9}, _ELR),
    },
}


def published(name: str, dataset: str) -> Published | None:
    """The published hyper-parameters of a loss for a data set with their source, if there are any."""
    return _PUBLISHED.get(name, {}).get(dataset)


def published_datasets(name: str) -> list[str]:
    """The data sets for which hyper-parameters of a loss are published."""
    return sorted(_PUBLISHED.get(name, {}))
