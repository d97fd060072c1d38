"""Chromium through its driver, with what the pages are judged by: console, network, colours, screen."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.lab.processes import PATIENCE
from tests.lab.toolchain import find

# Chromium refuses to run as root in its sandbox; the last row keeps its own traffic out of the network log.
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
)  # fmt: skip

# Every text a reader sees whose contrast with what lies behind it is too low (WCAG 2.2, 1.4.3).
LOW_CONTRAST = """
const rgb = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
  return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const known = new Map();
function behind(element) {
  if (!element) return [255, 255, 255, 1];
  if (!known.has(element))
    known.set(element, over(rgb(getComputedStyle(element).backgroundColor), behind(element.parentElement)));
  return known.get(element);
}
const bad = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  const style = getComputedStyle(element), ground = behind(element);
  const ink = over(rgb(element instanceof SVGElement ? style.fill : style.color), ground);
  const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${element.tagName} ${walker.currentNode.data.trim().slice(0, 40)}`);
}
return bad;
"""


# The document is named by its title; what scrolls and holds only text is read as that text.
WITHOUT_NAME = ("RootWebArea", "generic", "main", "group", "Pre", "code")


class Browser:
    """One window; `reset` makes it a light desktop with scripts again."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.address = ""

    def reset(self) -> None:
        self.screen(1280, 900)
        self.scheme("light")
        self.scripts(enabled=True)
        self.driver.get("about:blank")
        self.log("browser")
        self.log("performance")
        self.address = ""

    def screen(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def scheme(self, name: str, media: str = "") -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def scripts(self, *, enabled: bool) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not enabled})

    def open(self, page: Path) -> None:
        self.address = page.as_uri()
        self.driver.get(self.address)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script, run as a function's body in the page, returns."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def wait_for_text(self, selector: str, text: str) -> None:
        self.wait_until(lambda: text in self.one(selector).text, f"{text} in {selector}")

    def wait_until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait for what comes after the event: where a link leads in the page, or what a fold shows once it is open."""
        WebDriverWait(self.driver, PATIENCE, 0.02).until(lambda _: holds(), what)

    def worked(self) -> float:
        """Seconds of processor time that the page has taken so far: on a busy machine all else says little of it."""
        self.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        told = self.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return next(float(each["value"]) for each in told if each["name"] == "TaskDuration")

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What the log of that kind gained since it was last read."""
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def complaints(self) -> list[str]:
        """Everything the page wrote to the console: errors, warnings, refusals of its policy."""
        return [str(entry["message"]) for entry in self.log("browser")]

    def fetched(self) -> set[str]:
        """Addresses of everything the page asked for since `reset`, what it holds itself (data:) left out."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        asked = {params["request"]["url"].split("#")[0] for params in sent}
        return {url for url in asked if not url.startswith(("data:", "about:"))}

    def low_contrast(self) -> list[str]:
        return list(self.run(LOW_CONTRAST))

    def nameless(self) -> list[str]:
        """Roles of what can be focused, is a figure or a table, and tells a screen reader no name."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        bad = []
        for node in nodes:
            focusable = any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", ()))
            role = node.get("role", {}).get("value")
            if not node["ignored"] and (focusable or role in ("table", "region", "slider")):
                bad += [] if node.get("name", {}).get("value", "").strip() or role in WITHOUT_NAME else [str(role)]
        return bad

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG, as wide as the screen: without a clip the width of a scrollbar is cut off."""
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A headless Chromium with a profile of its own, closed at the end."""
    options = Options()
    options.binary_location = str(find("chromium"))
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(find("chromedriver"))))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
