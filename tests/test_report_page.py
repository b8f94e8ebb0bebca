"""The page as a browser sees it: nothing is fetched, cut off or complained about; dark in the dark."""

import pytest
from chromium import EXECUTABLE, Chromium
from reported_runs import write_run, write_sweep

from grjax.analysis.report import write_report

if EXECUTABLE is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)

from grjax.analysis.report import page, svg

WIDE, PHONE = 1280, 390
NOT_OF_ALL = ("Selection", "Emphasis", "Held-out data")  # sections of some runs only


@pytest.fixture(scope="module", autouse=True)
def _no_png():  # that the page does not show, and takes long
    render = svg.render
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "render", lambda figure, ending: render(figure, "svg") if ending == "svg" else b"")
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report([write_run(tmp_path_factory.mktemp("run"))])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return write_report([write_sweep(tmp_path_factory.mktemp("sweep"))])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("profile"))
    try:
        browser.__enter__()
    except (AssertionError, OSError) as error:  # a stub, or libraries are missing
        pytest.skip(f"Chromium does not start: {error}")
    yield browser
    browser.__exit__()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_page_is_whole(browser, report, width, dark):
    browser.open(report, width=width, dark=dark)
    assert browser.requests() == [report.resolve().as_uri()]
    assert browser.complaints() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    sizes = browser.evaluate(
        "[...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect().width)"
    )
    shown = [entry for entry in page.OF_A_RUN if entry.section not in NOT_OF_ALL]
    assert len(sizes) == len(shown)
    assert all(200 < size < width for size in sizes)
    cut = browser.evaluate(
        "[...document.querySelectorAll('figure')].filter(f => f.scrollWidth > f.clientWidth).map(f => f.id)"
    )
    assert cut == []


def test_page_of_a_sweep_fits_a_phone(browser, sweep):
    browser.open(sweep, width=PHONE)
    assert browser.requests() == [sweep.resolve().as_uri()]
    assert browser.complaints() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert browser.evaluate("document.querySelectorAll('figure svg').length") == len(page.OF_A_SWEEP)


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_legible(browser, report, dark):
    browser.open(report, width=WIDE, dark=dark)
    # The contrast of WCAG 2: 4.5 for text. Every text of figures stands on their paper, or on its shade.
    contrasts = browser.evaluate(
        """(() => {
          const channels = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(c => c / 255);
          const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
          const luminance = colour => {
            const [r, g, b] = channels(colour).map(linear);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const contrast = (one, other) => {
            const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
            return (high + 0.05) / (low + 0.05);
          };
          return [...document.querySelectorAll('figure')].flatMap(figure => {
            const paper = getComputedStyle(figure).backgroundColor;
            return [...figure.querySelectorAll('svg text')].map(
              text => contrast(getComputedStyle(text).fill, paper));
          });
        })()"""
    )
    assert len(contrasts) > 100
    assert min(contrasts) >= 4.5
    luminous = browser.evaluate("getComputedStyle(document.querySelector('figure')).backgroundColor")
    assert (luminous == "rgb(255, 255, 255)") != dark


def test_tables_are_reached_by_keyboard(browser, report):
    browser.open(report, width=PHONE)
    unreachable = browser.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.tabIndex < 0 || !e.ariaLabel).length"
    )
    assert unreachable == 0
    names = browser.evaluate("[...document.querySelectorAll('figure svg')].map(e => e.ariaLabel)")
    assert all(names)
