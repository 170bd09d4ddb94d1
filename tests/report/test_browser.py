"""Both pages in a real browser: nothing leaves them, nothing is cut off, all of it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # a browser takes seconds a page

LOOKS = [
    (width, dark, media)
    for width, dark, media in (
        (1280, False, "screen"), (1280, True, "screen"), (360, False, "screen"),
        (360, True, "screen"), (720, False, "print"),
    )
]  # fmt: skip

CHECKS = (Path(__file__).parent / "page_checks.js").read_text()


@pytest.fixture(scope="module")
def browser(chromium):
    with chromium() as found:
        yield found


@pytest.mark.parametrize("page", ["one", "all"])
@pytest.mark.parametrize(("width", "dark", "media"), LOOKS)
def test_a_page_asks_nobody_complains_of_nothing_and_fits(
    browser, pages_of_zoo, page, width, dark, media
):
    address = pages_of_zoo[page].as_uri()
    events = browser.open(pages_of_zoo[page], width=width, dark=dark, media=media)
    sent = [e["params"]["request"]["url"] for e in events
            if e.get("method") == "Network.requestWillBeSent"]  # fmt: skip
    assert [url for url in sent if not url.startswith("data:")] == [address]
    told = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert [e for e in events if e.get("method") in told] == []
    assert browser.run("matchMedia('(prefers-color-scheme: dark)').matches") is dark
    widths = browser.run("[document.documentElement.scrollWidth, innerWidth]")
    assert widths == [width, width]
    assert browser.run(f"{CHECKS};cutText()") == []
    if media == "print":
        assert browser.run(f"{CHECKS};wideTables()") == []
    assert browser.run(f"{CHECKS};lowContrast()") == []


@pytest.mark.parametrize("page", ["one", "all"])
def test_a_page_can_be_used_by_keyboard_and_by_ear(browser, pages_of_zoo, page):
    browser.open(pages_of_zoo[page], width=1280)
    browser.press("Tab")
    active = "document.activeElement"
    assert browser.run(f"{active}.className") == "skip"
    assert browser.run(f"{active}.getBoundingClientRect().left") == 12
    browser.press("Enter")
    assert browser.run(f"{active}.id") == "main"
    browser.press("Tab")
    assert browser.run(f"getComputedStyle({active}).outlineStyle") == "solid"
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert roles.count(landmark) == 1, landmark
    named = ("image", "img", "figure", "region", "table")
    shown = [node for node in nodes if not node["ignored"] and node["role"]["value"] in named]
    assert {node["role"]["value"] for node in shown} >= {"figure", "region", "table"}
    assert [n for n in shown if not n.get("name", {}).get("value")] == []


def test_every_table_of_figures_opens(browser, pages_of_zoo):
    browser.open(pages_of_zoo["one"], width=360)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.run("document.documentElement.scrollWidth") == 360
    tables = "[...document.querySelectorAll('figure table')]"
    assert browser.run(f"{tables}.length && {tables}.every(t => t.rows.length > 1)") is True
    assert browser.run(f"{CHECKS};lowContrast()") == []
