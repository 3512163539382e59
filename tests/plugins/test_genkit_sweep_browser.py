"""The page of a sweep in a browser: from disk, with the network off, by mouse and by keyboard, in light and dark."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from genkit.runs.opening import as_config
from genkit_sweep import page as pages
from genkit_sweep.directory import Plan, Result, SweepDirectory
from genkit_sweep.figures import described, ranking
from genkit_sweep.results import summary
from tests.browser import axe, chromium, show, violations

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" & 'so' {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def browser():
    with chromium() as instance:
        yield instance


@pytest.fixture(scope="module")
def page(digits, tmp_path_factory) -> Path:
    """The page of two latents, two roots and two seeds, one run of which failed; the smaller the latent, the better."""
    folder = tmp_path_factory.mktemp("sweep") / HOSTILE.replace("/", "")
    config, results = as_config(digits), []
    for number, (latent, root, seed) in enumerate(itertools.product((2, 64), ("data", HOSTILE), (0, 1)), 1):
        options = {"sampler.latent": str(latent), "data.root": root, "seed": str(seed)}
        kl, reconstruction = 5 + latent / 10 + seed / 4 + len(root) / 99, 20 - latent / 20 - seed / 5
        values = {"kl": kl, "reconstruction": reconstruction, "elbo": -kl - reconstruction}
        figures = {f"{split}.{key}": value for split in ("validation", "test") for key, value in values.items()}
        results.append(Result(number, options, "done", figures, {}, 3, 4.0))
    results[-1] = Result(8, options, "failed", {}, {}, 1, 0.0, f"the loss is nan {HOSTILE}")
    directory = SweepDirectory(folder)
    report = directory.run(1).path / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<title>run 1</title>")
    plan = Plan(str(digits), "x", str(folder), ("sampler.latent=2,64", f"data.root=data,{HOSTILE}"), 1, True)
    return pages.write(directory, plan, summary(HOSTILE, results, ranking(None, config), described(config)))


def test_it_opens_offline_without_a_word_on_the_console_and_shows_names_as_text(browser, page):
    show(browser, page)
    assert browser.get_log("browser") == []
    for place in ("h1", "#table", "#failed-head + .notes", "#chosen", "pre"):
        assert HOSTILE in browser.find_element("css selector", place).get_attribute("textContent").replace(
            "'\"'\"'", "'"
        )
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    browser.execute_script("arguments[0].click()", browser.find_element("link text", "0001"))
    assert browser.title == "run 1"


@pytest.mark.parametrize("width", [360, 800])
def test_it_never_scrolls_sideways(browser, page, width):
    show(browser, page, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_checker_of_accessibility_finds_nothing(browser, page, tmp_path, dark):
    show(browser, page, dark=dark)
    assert violations(browser, axe(tmp_path)) == []


def classes(browser, name):
    """The groups of the parts that have a class, by their kind."""
    script = "return [...document.querySelectorAll('[data-group].%s')].map(one => [one.tagName, one.dataset.group])"
    return {tuple(each) for each in browser.execute_script(script % name)}


def test_a_choice_is_highlighted_everywhere_by_keyboard_and_by_mouse(browser, page):
    from selenium.webdriver.common.action_chains import ActionChains

    show(browser, page)
    chooser, about = browser.find_element("id", "chosen"), browser.find_element("id", "about")
    chooser.send_keys("l")  # the first option that begins with it
    assert classes(browser, "active") == {("TR", "0"), ("polyline", "0"), ("g", "0")}
    assert about.text.startswith("latent=2 root=data: validation ELBO −25.17")
    row = browser.find_element("css selector", "tr[data-group='1']")
    ActionChains(browser).move_to_element(row).perform()
    assert classes(browser, "active") == {("TR", "1"), ("polyline", "1"), ("g", "1")}
    row.click()
    assert chooser.get_attribute("value") == "1"


def test_a_drag_along_an_axis_keeps_the_lines_that_pass_there(browser, page):
    from selenium.webdriver.common.action_chains import ActionChains

    show(browser, page)
    grip = browser.find_element("css selector", "[data-axis='0'] .grip")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", grip)
    half = int(grip.rect["height"] / 2)
    drag = ActionChains(browser).move_to_element_with_offset(grip, 0, half - 4).click_and_hold()
    drag.move_to_element_with_offset(grip, 0, 0).release().perform()  # the lower half: latent=2
    out = {group for _, group in classes(browser, "out")}
    kept = {row.get_attribute("data-group") for row in browser.find_elements("css selector", "tr[data-group]")} - out
    texts = [browser.find_element("css selector", f"tr[data-group='{group}']").text for group in kept]
    assert len(texts) == 2
    assert all(text.startswith("2 ") for text in texts)
    browser.find_element("id", "clear").click()
    assert classes(browser, "out") == set()
