"""Claim 3: ... and on the web."""

from __future__ import annotations

from shipworthy.report.claims.claim import Claim, Evidence, Finding

_WHY = (
    "there is no runner for a browser yet; Node, by which claim 4 runs artifacts from JavaScript, "
    "is a server's and has neither a page's memory nor its threads nor its download"
)


def _decide(evidence: Evidence) -> Finding:
    del evidence
    return Finding(
        "NOT TESTED",
        "Nothing here says which framework serves a web page better; measure it in the browsers "
        "that you ship to.",
        reasons=(_WHY,),
    )


CLAIM = Claim(
    number=3,
    slug="web",
    claim="For the same reason TensorFlow is the more useful framework for web pages.",
    measurable=(
        "It would be as claim 2, with each artifact run and proven inside a headless browser: "
        "download, memory, time to the first answer, latency."
    ),
    rule="It would be as claim 2's; without a browser runtime the verdict is NOT TESTED.",
    needs=(),
    decide=_decide,
    untested=_WHY,
)
