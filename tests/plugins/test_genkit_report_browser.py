"""Reports in a browser: from disk, with the network off, by mouse and by keyboard, in light and dark."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from genkit.record.directory import RunDirectory
from genkit.runs.comparison import Compared
from genkit.sharing import facts as gathering
from genkit_report import comparison, run_page
from tests.browser import axe, chromium, show, violations

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" & 'so'"


@pytest.fixture(scope="module")
def browser():
    with chromium() as instance:
        yield instance


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    return axe(tmp_path_factory.mktemp("axe"))


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory) -> Path:
    """The report of a run with a hostile name, and with classes of hostile names."""
    folder = tmp_path_factory.mktemp("report") / "run <b>bold</b>"
    shutil.copytree(finished.directory.path, folder)
    facts = gathering.of_run(RunDirectory(folder), finished.model)
    data = facts.data.model_copy(update={"classes": (HOSTILE, *facts.data.classes[1:])})
    facts = replace(facts, config=facts.config.model_copy(update={"name": HOSTILE}), data=data)
    path = folder / "report.html"
    path.write_text(run_page.text(facts, RunDirectory(folder), facts.verdict()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def several(compared: Compared, tmp_path_factory) -> Path:
    """The report of three models, one with a hostile name."""
    first, *others = compared.comparison.entries
    entries = (replace(first, name=HOSTILE), *others)
    path = tmp_path_factory.mktemp("comparison") / "page.html"
    return comparison.write(replace(compared, comparison=replace(compared.comparison, entries=entries)), path)


@pytest.fixture(params=["report", "several"])
def page(request) -> Path:
    return request.getfixturevalue(request.param)


def test_a_page_opens_offline_without_a_word_on_the_console_and_shows_names_as_text(browser, page):
    show(browser, page)
    assert browser.get_log("browser") == []
    assert HOSTILE in browser.find_element("css selector", "header").text
    assert browser.execute_script("return document.querySelectorAll('img:not([src^=\"data:\"]), b').length") == 0
    plots = browser.find_elements("css selector", ".plot svg .line")
    assert len(plots) >= 3
    broken = "return [...document.images].filter(each => !each.complete || !each.naturalWidth).length"
    assert browser.execute_script(broken) == 0


@pytest.mark.parametrize("width", [360, 800])
def test_a_page_never_scrolls_sideways(browser, page, width):
    show(browser, page, width)
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_checker_of_accessibility_finds_nothing(browser, page, checker, dark):
    show(browser, page, dark=dark)
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    assert violations(browser, checker) == []


def test_keys_move_the_cursor_zoom_and_take_logarithms(browser, report):
    from selenium.webdriver.common.keys import Keys

    show(browser, report)
    plot = browser.find_element("css selector", ".plot")
    for key, now, ends in [
        (Keys.HOME, "1", ("1", "3")),
        (Keys.ARROW_RIGHT, "2", ("1", "3")),
        (Keys.END, "3", ("1", "3")),
        ("+", "3", ("2", "3")),
        ("0", "3", ("1", "3")),
    ]:
        plot.send_keys(key)
        assert plot.get_attribute("aria-valuenow") == now
        assert (plot.get_attribute("aria-valuemin"), plot.get_attribute("aria-valuemax")) == ends
    assert plot.get_attribute("aria-valuetext").startswith("epoch 3: training ")
    plot.send_keys("l")
    log = browser.find_element("css selector", ".tools [aria-pressed]")
    assert log.get_attribute("aria-pressed") == "true"


def test_the_mouse_shows_values_and_zooms_and_a_click_hides_a_line(browser, report, finished):
    from selenium.webdriver.common.action_chains import ActionChains

    show(browser, report)
    figure = browser.find_element("css selector", "figure.chart")
    plot = figure.find_element("css selector", ".plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", plot)
    half = plot.size["width"] / 2
    ActionChains(browser).move_to_element_with_offset(plot, int(60 - half), 0).perform()
    shown = float(figure.find_element("css selector", "output").text.replace("−", "-"))
    assert figure.find_element("css selector", ".place").text == "epoch 1"
    assert shown == pytest.approx(finished.history[0].train.loss, rel=1e-3)
    train, _ = figure.find_elements("css selector", ".legend button")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", train)
    assert len(figure.find_elements("css selector", ".plot .line")) == 2
    train.click()
    assert train.get_attribute("aria-pressed") == "false"
    assert len(figure.find_elements("css selector", ".plot .line")) == 1
    drag = ActionChains(browser).move_to_element_with_offset(plot, int(60 - half), 0).click_and_hold()
    drag.move_to_element_with_offset(plot, int(half - 20), 0).release().perform()
    assert plot.get_attribute("aria-valuemin") == "1"


def test_without_scripts_there_are_a_picture_and_tables(browser, report):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, report)
        assert browser.find_element("css selector", "noscript img").is_displayed()
        assert "Values of objective" in browser.find_element("css selector", "figure.chart details").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
