"""A headless browser for tests of pages, and a checker of their accessibility; without them such a test is skipped."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKER = Path(__file__).parent / "accessibility"
"""The folder of a package.json that pins axe-core."""
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900")


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A Chromium without a window, which records what its console says."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    instance = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield instance
    finally:
        instance.quit()


def show(browser: Any, path: Path, width: int = 1200, dark: bool = False) -> None:
    """Open a file from disk with the network off, in a window of so many pixels, in light or dark colours."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())


def axe(folder: Path) -> str:
    """The script of axe-core in the version of its lock file, installed into a folder."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, for axe-core")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(CHECKER / name, folder / name)
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install axe-core: {done.stderr[-300:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def violations(browser: Any, script: str) -> list[str]:
    """What axe-core finds wrong with the page that is shown, a line per element."""
    browser.execute_script(script)
    result = browser.execute_async_script("const done = arguments[0]; axe.run().then(done);")
    return [f"{each['id']}: {node['html'][:200]}" for each in result["violations"] for node in each["nodes"]]
