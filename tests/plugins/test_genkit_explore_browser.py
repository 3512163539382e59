"""The explorer in a browser: dragging, sliders, classes, keys, a path, narrow screens, and the page from a file."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from genkit.interfaces import Column, Schema, Side, Split
from genkit.interfaces.columns import laid_out
from genkit_explore.explorer import Explorer
from genkit_explore.static import static_page
from tests.models import built

pytestmark = pytest.mark.slow
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
uvicorn = pytest.importorskip("uvicorn", reason="the explorer's server is an extra")
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
if not (CHROMIUM and DRIVER):
    pytest.skip("there is no chromium with its driver", allow_module_level=True)

MARKUP = "<img src=x onerror=alert(1)>\"'"
PIXELS = "return document.getElementById('image').toDataURL()"


def explorer(schema: Schema, x: Any = None, **changes: Any) -> Explorer:
    """The explorer of a model with fresh weights, so large that data differ, and of random data."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = built(schema, decoder={"name": "mlp", "hidden": []}, **changes).eval()
        with torch.no_grad():
            for parameter in model.decoder.parameters():
                parameter.mul_(3)
        x = torch.rand(60, *model.shape) if x is None else x
    return Explorer(model, Split(x, torch.arange(60) % 3), 60, MARKUP, MARKUP, "runs/a")


SIDE = {"labels": Side(classes=3, names=("a", MARKUP, "c"))}


@pytest.fixture(scope="module")
def images() -> Explorer:
    return explorer(Schema((1, 8, 8), SIDE), condition="labels", sampler={"name": "gaussian", "latent": 3})


@pytest.fixture(scope="module")
def series() -> Explorer:
    return explorer(Schema((12, 2), SIDE, channels=("up", MARKUP)))


@pytest.fixture(scope="module")
def table() -> Explorer:
    columns = laid_out([
        Column(name=MARKUP, kind="numeric", decimals=2),
        Column(name="colour", kind="categorical", categories=("red", MARKUP)),
    ])  # fmt: skip
    return explorer(Schema((3,), SIDE, columns=columns), likelihood="mixed", x=torch.rand(60, 3))


@pytest.fixture(scope="module")
def served() -> Iterator[Callable[[Explorer], str]]:
    """`served(explorer)`: the address of its page."""
    from genkit_explore.server import address, application, listening

    running = []

    def serve(one: Explorer) -> str:
        listener = listening("127.0.0.1", None)
        server = uvicorn.Server(uvicorn.Config(application(one), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        running.append((server, thread, listener))
        return address(listener)

    yield serve
    for server, thread, listener in running:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    folder = tmp_path_factory.mktemp("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--window-size=1200,1000", f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser, whose console stays empty."""
    yield chromium
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert chromium.get_log("browser") == []


def until(browser: Any, script: str) -> Any:
    """The value of a script as soon as it is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30, 0.02).until(lambda each: each.execute_script(script))


def opened(browser: Any, address: str) -> Any:
    browser.get(address)
    until(browser, "return document.documentElement.dataset.ready")
    return browser


def changed(browser: Any, before: str, script: str = PIXELS) -> str:
    """What a script gives, the pixels of the datum, as soon as it is something else."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30, 0.02).until(lambda each: each.execute_script(script) != before)
    return str(browser.execute_script(script))


def by_id(browser: Any, name: str) -> Any:
    return browser.find_element("id", name)


def dragged(browser: Any, across: int, up: int) -> None:
    actions = webdriver.ActionChains(browser, duration=10).click_and_hold(by_id(browser, "handle"))
    actions.move_by_offset(across // 2, -up // 2).move_by_offset(across // 2, -up // 2).release().perform()


def test_dragging_shows_another_image(browser: Any, served: Any, images: Explorer) -> None:
    opened(browser, served(images))
    before, place = browser.execute_script(PIXELS), by_id(browser, "handle").rect
    dragged(browser, 120, 80)
    changed(browser, before)
    after = by_id(browser, "handle").rect
    assert (after["x"] - place["x"], after["y"] - place["y"]) == (pytest.approx(120, abs=2), pytest.approx(-80, abs=2))
    assert "ms" in by_id(browser, "time").text
    until(browser, "return document.getElementById('live').textContent.startsWith('The point is at')")


def test_sliders_classes_and_planes_show_other_images(browser: Any, served: Any, images: Explorer) -> None:
    from selenium.webdriver.support.ui import Select

    opened(browser, served(images))
    first = browser.execute_script(PIXELS)
    slider = browser.find_element("css selector", "#sliders input")
    slider.send_keys(webdriver.Keys.END)
    second = changed(browser, first)
    chips = browser.find_elements("css selector", "#inputs .chips input")
    chip = next(each for each in chips if not each.is_selected())
    chip.click()
    changed(browser, second)
    assert [each.text for each in browser.find_elements("css selector", ".chips label")] == ["a", MARKUP, "c"]
    for name, axis in (("two latents", "z"), ("principal components", "principal")):
        Select(by_id(browser, "plane")).select_by_visible_text(name)
        until(browser, f"return document.getElementById('axes').textContent.startsWith('across: {axis}')")


def test_a_plane_that_takes_long_is_announced_and_the_last_one_chosen_is_shown(
    browser: Any, served: Any, images: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selenium.webdriver.support.ui import Select

    opened(browser, served(images))
    ready, plane = threading.Event(), images.plane
    monkeypatch.setattr(images, "plane", lambda name: (name == "principal" or ready.wait(30)) and plane(name))
    Select(by_id(browser, "plane")).select_by_visible_text("two latents")
    assert until(browser, "return document.getElementById('axes').textContent") == "placing the data …"
    Select(by_id(browser, "plane")).select_by_visible_text("principal components")
    ready.set()
    until(browser, "return document.getElementById('axes').textContent.startsWith('across: principal')")


def test_everything_is_within_reach_of_the_keyboard_and_has_a_name(browser: Any, served: Any, images: Explorer) -> None:
    opened(browser, served(images))
    before = browser.execute_script(PIXELS)
    by_id(browser, "handle").send_keys(webdriver.Keys.SHIFT + webdriver.Keys.ARROW_RIGHT * 3)
    before = changed(browser, before)
    by_id(browser, "handle").send_keys(webdriver.Keys.HOME)
    changed(browser, before)
    until(browser, "return document.querySelectorAll('#near button').length === 6")
    wanted = browser.execute_script("""
        return [...document.querySelectorAll('button, select, input, summary, pre, #handle')]
            .filter((each) => each.checkVisibility() && !each.disabled)
            .filter((each) => each.type !== 'radio' || each.checked).length""")
    opened(browser, browser.current_url)  # the keyboard starts at the top again
    visited = []
    for _ in range(wanted):
        browser.switch_to.active_element.send_keys(webdriver.Keys.TAB)
        assert browser.switch_to.active_element.accessible_name
        visited.append(browser.execute_script("return document.activeElement.id"))
    assert {"plane", "backdrop", "handle", "noise", "copy-python", "copy-json", "code", "set-a", "set-b"} <= {*visited}


def test_a_path_has_two_ends_and_plays(browser: Any, served: Any, images: Explorer) -> None:
    opened(browser, served(images))
    by_id(browser, "set-a").click()
    dragged(browser, -100, 60)
    until(browser, "return !document.querySelector('.original:not([hidden])')")
    by_id(browser, "set-b").click()
    until(browser, "return document.querySelectorAll('#strip button').length === 9")
    before = browser.execute_script(PIXELS)
    browser.find_element("css selector", "#strip button").click()
    changed(browser, before)
    by_id(browser, "play").click()
    until(browser, "return document.getElementById('position').value === '40'")


def test_names_are_texts_and_no_markup(browser: Any, served: Any, series: Explorer, table: Explorer) -> None:
    for one in (series, table):
        opened(browser, served(one))
        assert by_id(browser, "facts").text.startswith(f"60 data of {MARKUP}")
        assert browser.find_element("tag name", "h1").text == MARKUP
        assert MARKUP in by_id(browser, "legend").text
        assert not browser.find_elements("tag name", "img")
    assert MARKUP in by_id(browser, "datum").text


@pytest.mark.parametrize("view", ["images", "series", "table"])
def test_the_page_fits_a_narrow_screen(browser: Any, served: Any, view: str, request: pytest.FixtureRequest) -> None:
    size = {"width": 360, "height": 720, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, served(request.getfixturevalue(view)))
    by_id(browser, "set-a").click()
    by_id(browser, "set-b").click()
    until(browser, "return document.querySelector('#strip button')")
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("view", ["images", "series", "table"])
def test_the_file_works_from_the_disk_without_a_network(
    browser: Any, view: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "a b#1.html"
    path.write_text(static_page(request.getfixturevalue(view)), encoding="utf-8")
    browser.execute_cdp_cmd("Network.enable", {})
    network = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", network)
    try:
        opened(browser, path.as_uri())
        shown = "return document.getElementById('datum').innerText" if view == "table" else PIXELS
        before = browser.execute_script(shown)
        dragged(browser, 90, 90)
        changed(browser, before, shown)
        if view == "images":
            before = browser.execute_script(shown)
            next(
                each for each in browser.find_elements("css selector", ".chips input") if not each.is_selected()
            ).click()
            changed(browser, before)
    finally:
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "offline": False})
