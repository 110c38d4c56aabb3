"""What browser tests share: the board as a process, and what a hand does to its pages."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from playwright.sync_api import TimeoutError, expect

CHROMIUM = os.environ.get("AVATAR_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
SHOTS = os.environ.get("AVATAR_SCREENSHOTS")
PICK_MS = 3000
ASKED_AGAIN_S = 0.25
PATIENCE_MS = int(os.environ.get("AVATAR_PATIENCE_MS", "90000"))


def serve(store: Path):
    """The board as a process and its address, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "board", "--store", str(store), "--port", str(port)],
        env={**os.environ, "AVATAR_BROWSER_TEST": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                return process, address
        except OSError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ASKED_AGAIN_S)
                break  # it has ended
    process.kill()
    raise AssertionError("the board did not start")


SETTLED = """() => document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]')
  && !document.querySelector('[data-stale="true"], [data-testid*="Skeleton"]')"""


def settled(page):
    """Wait until the script has ended and everything of its page is drawn, nothing of an earlier run left.

    What is pressed or counted before may move or go between two steps of a test.
    """
    page.wait_for_function(SETTLED)


def shot(page, name):
    """The settled page, and a picture of it where AVATAR_SCREENSHOTS names a folder (seconds, of a viewer)."""
    settled(page)
    if SHOTS is not None:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


def banner(page):
    page.get_by_text("Research use only").wait_for()


def cell(page, endpoint, column):
    return page.locator("table tr", has_text=endpoint).locator("td, th").nth(column)


def pick(page, label, option):
    """Choose from a list, again until it is chosen: a list closes whenever the page is drawn anew."""
    box = page.get_by_role("combobox", name=label)
    for _ in range(PATIENCE_MS // PICK_MS):
        with contextlib.suppress(TimeoutError):
            box.fill(option)
            page.get_by_role("option", name=option).first.click(timeout=PICK_MS)
        box.blur()  # what was typed and not chosen goes
        if option in box.input_value():
            return
    raise AssertionError(f"{option!r} was not to be chosen as {label!r}")


def switch(page, label):
    """Turn a toggle or a checkbox over, again until it is: a page that moves under the mouse takes a click."""
    settled(page)
    box = page.get_by_test_id("stCheckbox").filter(has_text=label)
    was = box.locator("input").is_checked()
    for _ in range(PATIENCE_MS // PICK_MS):
        box.get_by_text(label).click()
        with contextlib.suppress(AssertionError):
            expect(box.locator("input")).to_be_checked(checked=not was, timeout=PICK_MS)
            return
    raise AssertionError(f"{label!r} was not to be switched")


def without_a_tooltip(page, root):
    """Controls of a component that say nothing when the mouse rests on them."""
    return page.locator(root).evaluate(
        """(root) => Array.from(root.querySelectorAll("button, select, input"))
          .filter((made) => !made.title && !made.closest("label[title]") && !made.closest("dialog"))
          .map((made) => made.outerHTML.slice(0, 120))"""
    )


FIELD = '[data-testid="stElementContainer"]:has([data-testid="stWidgetLabel"])'
PRESSED = ":is(.stButton, .stFormSubmitButton, .stPageLink) :is(button, a)"


def keys_of_fields(page):
    """Every field's key by its name; each one's help tells it, and a press of it leads to the field.

    Fields that are switched by a click (a toggle, a link) are told of and not pressed.
    """
    settled(page)
    keys = {}
    for field in page.locator(FIELD).all():
        name = field.locator('[data-testid="stWidgetLabel"] p').first.inner_text()
        keys[name] = _key_told(page, field.locator('[data-testid="stTooltipIcon"]').first)
        if field.locator("[type=checkbox]").count():
            continue
        page.get_by_text("Research use only").click()  # away from every field
        page.keyboard.press(keys[name].lower())
        at = page.evaluate(
            """(field) => document.activeElement.closest(field)
              ?.querySelector('[data-testid="stWidgetLabel"] p').textContent""",
            FIELD,
        )
        assert at == name, f"{keys[name]} leads to {at}, not to {name}"
    return keys


def keys_of_buttons(page):
    """Every button's and link's key by what stands on it, as its help tells it."""
    settled(page)
    made = [b for b in page.locator(PRESSED).all() if b.is_visible()]
    return {
        b.locator('[data-testid="stMarkdownContainer"]').first.inner_text(): _key_told(page, b)
        for b in made
    }


def _key_told(page, made):
    made.hover(force=True)
    tip = page.locator('[data-testid="stTooltipContent"]').last
    tip.wait_for()
    told = tip.inner_text()
    page.mouse.move(0, 0)
    tip.wait_for(state="detached")
    found = re.search(r"\(([^()]+)\)$", told.strip())
    assert found, f"no key is told: {told}"
    return found[1]
