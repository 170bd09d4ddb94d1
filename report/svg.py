"""Turns matplotlib's SVG files into inline SVG that takes its colours from the page."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# matplotlib draws with these colours, the page replaces each by a variable of its theme. No two of
# them may be alike, and none may be a colour that matplotlib uses by itself (black, white).
_VARIABLES = {
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--line",
    "#040404": "--bad",
    "#050505": "--bad-soft",
    "#060606": "--surface",
    "#0a0101": "--pytorch",
    "#0a0202": "--tensorflow",
    "#0a0303": "--other",
    "#0b0101": "--step-1",
    "#0b0202": "--step-2",
    "#0b0303": "--step-3",
    "#0b0404": "--step-4",
    "#0b0505": "--step-5",
}
_COLOURS = {variable: colour for colour, variable in _VARIABLES.items()}

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, searchable, in the reader's font
    "svg.hashsalt": "shipworthy",  # the same records give the same file
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 9.5,
    "font.family": "DejaVu Sans",  # comes with matplotlib; wider than the page's, so all fits
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": _COLOURS["--line"],
    "axes.labelcolor": _COLOURS["--muted"],
    "text.color": _COLOURS["--ink"],
    "xtick.color": _COLOURS["--line"],
    "xtick.labelcolor": _COLOURS["--muted"],
    "ytick.color": _COLOURS["--line"],
    "ytick.labelcolor": _COLOURS["--muted"],
    "grid.color": _COLOURS["--line"],
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


def colour(variable: str) -> str:
    """Return the stand-in that `to_inline_svg` turns into a CSS variable such as ``--ink``."""
    return _COLOURS[variable]


def framework_colour(framework: str) -> str:
    """Return the stand-in for a framework's colour."""
    return _COLOURS.get(f"--{framework}", _COLOURS["--other"])


def to_inline_svg(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an ``<svg>`` element.

    It scales with the page, has no address outside the page, no identifier that another plot of the
    page has, and `description` for those who do not see it.

    Parameters
    ----------
    name : unique on the page.
    """
    stream = io.StringIO()
    figure.savefig(
        stream,
        format="svg",
        transparent=True,
        metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
    )
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    # Inside HTML the namespaces are implied, and xlink's is obsolete.
    svg = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    # A <style> inside an inline SVG would hold for the whole page.
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: 'DejaVu Sans'", "font-family: var(--font)")
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, f"var({variable})")
    svg = re.sub(r"\n\s*", "\n", svg)
    svg = _shrink(svg)
    view = re.search(r'viewBox="([^"]+)"', svg)
    if view is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    body = svg[svg.index(">") + 1 :]
    return (
        f'<svg viewBox="{view.group(1)}" stroke-linejoin="round" role="img" '
        f'aria-label="{escape(description)}">'
        f"{body.strip()}"
    )


def _shrink(svg: str) -> str:
    """Leave out what the page does not need, a good half of what matplotlib writes.

    Coordinates keep a tenth of a point, a dot becomes a line of no length, and identifiers stay
    only where something refers to them.
    """

    def rounded(match: re.Match[str]) -> str:
        name, text = match.groups()
        text = re.sub(r"-?\d+\.\d+", lambda m: _tenths(float(m.group())), text)
        if name == "d":
            text = re.sub(r"\s*([MLz])\s*", r"\1", text)
            text = re.sub(r"M([-\d.]+ [-\d.]+)L\1(?![\d.])", r"M\1h0", text)
        return f' {name}="{text}"'

    svg = re.sub(r'\s(d|x|y|x1|x2|y1|y2|width|height|transform)="([^"]*)"', rounded, svg)
    svg = re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><")
    svg = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", svg)
    svg = svg.replace(f"font-size: {STYLE['font.size']}px; font-family: var(--font); ", "")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: m.group() if m.group(1) in used else "", svg)
    svg = re.sub(r'<path d="[^"]*" style="fill: none"/>', "", svg)  # empty backgrounds
    for _ in range(3):
        svg = re.sub(r"<(g|defs)></\1>|<g/>", "", svg)
    return svg


def _tenths(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
