"""What a claim, its parts and its finding are, and how parts make a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal[
    "SUPPORTED", "REFUTED", "MIXED", "INCONCLUSIVE", "NOT TESTED", "NOT TESTABLE"
]  # fmt: skip
VERDICTS: tuple[Verdict, ...] = (
    "SUPPORTED", "REFUTED", "MIXED", "INCONCLUSIVE", "NOT TESTED", "NOT TESTABLE",
)  # fmt: skip

# experiment -> the ``data`` of its evidence.
Evidence = Mapping[str, Mapping[str, Any]]

COMBINED = (
    "Parts are judged one by one. All parts with an answer supported: SUPPORTED; all refuted: "
    "REFUTED; some of each: MIXED; otherwise INCONCLUSIVE. Parts that are not tested or not "
    "testable decide nothing; if there are no others, they are the verdict."
)


@dataclass(frozen=True)
class Effect:
    """A size of an effect with its interval.

    Parameters
    ----------
    value, low, high : in `unit`; the interval is two-sided at 99 % unless the unit says otherwise.
        Of what is counted and not drawn, all three are equal.
    """

    value: float
    low: float
    high: float
    unit: str

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value:g} lies outside {self.low:g} to {self.high:g}")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"value": self.value, "low": self.low, "high": self.high, "unit": self.unit}

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.value:.3g}"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Part:
    """One statement of a claim.

    Parameters
    ----------
    title : the statement.
    told : what was found, in words and figures.
    decides : whether it counts for the claim's verdict; what does not is there for comparison.
    """

    title: str
    verdict: Verdict
    told: str
    decides: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "title": self.title,
            "verdict": self.verdict,
            "told": self.told,
            "decides": self.decides,
        }


@dataclass(frozen=True)
class Finding:
    """What the evidence says of a claim.

    Parameters
    ----------
    meaning : one plain sentence for someone who deploys today.
    effect : the size of the effect that says most; None where there is none.
    parts : the claim's statements, where it holds several.
    reasons : why the verdict is no better, and what the reader must know of the evidence.
    """

    verdict: Verdict
    meaning: str
    effect: Effect | None = None
    parts: tuple[Part, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A claim, made measurable, with its rule.

    Parameters
    ----------
    number, slug : its place in the ledger and a short name.
    claim : what is said, in our words.
    measurable : the hypothesis as something that can turn out false.
    rule : when which verdict is given; written before any evidence is seen, with its margins.
    needs : names of the experiments in `shipworthy.serve.experiments` that it is decided by.
    decide : pure; is given the data of all it needs.
    untested : why nothing is run for it, of a claim that needs nothing.
    """

    number: int
    slug: str
    claim: str
    measurable: str
    rule: str
    needs: tuple[str, ...]
    decide: Callable[[Evidence], Finding]
    untested: str = ""


def combine(parts: Iterable[Part]) -> Verdict:
    """Return the verdict of a whole from its parts; see `COMBINED`."""
    found = {part.verdict for part in parts if part.decides}
    if not found:
        return "INCONCLUSIVE"
    tested = found - {"NOT TESTED", "NOT TESTABLE"}
    if not tested:
        return "NOT TESTED" if "NOT TESTED" in found else "NOT TESTABLE"
    for verdict in VERDICTS[:2]:
        if tested == {verdict}:
            return verdict
    return "MIXED" if "MIXED" in tested or tested >= {"SUPPORTED", "REFUTED"} else "INCONCLUSIVE"


def above(effect: Effect | None, margin: float) -> Verdict:
    """Judge the hypothesis that a ratio is above ``1 + margin``.

    SUPPORTED or REFUTED if the whole interval says so; a ratio without interval is INCONCLUSIVE.
    """
    if effect is None:
        return "INCONCLUSIVE"
    if effect.low > 1 + margin:
        return "SUPPORTED"
    return "REFUTED" if effect.high <= 1 + margin else "INCONCLUSIVE"


def below(effect: Effect | None, margin: float) -> Verdict:
    """Judge the hypothesis that a ratio is below ``1 / (1 + margin)``."""
    if effect is None:
        return "INCONCLUSIVE"
    limit = 1 / (1 + margin)
    if effect.high < limit:
        return "SUPPORTED"
    return "REFUTED" if effect.low >= limit else "INCONCLUSIVE"


def pool_fit(sessions: Sequence[Mapping[str, Any]], unit: str) -> tuple[Effect | None, str]:
    """Pool the ratios of the sessions that are fit, and tell what was left out.

    No effect if more than half are unfit, as `UNFIT` says, or if a ratio lacks its interval.

    Parameters
    ----------
    sessions : each ``{"ratio": {"value", "low", "high"}, "fit": bool}``.
    """
    fit = [one for one in sessions if one["fit"]]
    lost = len(sessions) - len(fit)
    told = f"{lost} of {len(sessions)} sessions are unfit and left out" if lost else ""
    everything = pool([one["ratio"] for one in sessions], unit) if lost else None
    told += f"; with them it would be {everything}" if everything else ""
    if not sessions or 2 * lost > len(sessions):
        return None, told
    effect = pool([one["ratio"] for one in fit], unit)
    return effect, told if effect else told or "too few processes for an interval"


def tell_busy(sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line about sessions during which the machine did other work; nothing if none."""
    reasons = [one["busy"][0] for one in sessions if one.get("busy")]
    if not reasons:
        return []
    return [f"the machine was busy during {len(reasons)} of {len(sessions)} sessions: {reasons[0]}"]


NO_ANSWER = (
    "This run did not settle it: run it again on a machine that does nothing else, and do not "
    "choose a framework by it meanwhile."
)

UNFIT = (
    "A session is unfit if the same thing measured twice in it differs, or if the machine was busy "
    "with other work meanwhile. It is left out; if more than half of them are, the answer is "
    "INCONCLUSIVE."
)


def pool(ratios: Sequence[Mapping[str, Any]], unit: str) -> Effect | None:
    """Return the geometric mean of ratios and its interval; None if one lacks its interval.

    The ratios are of different models, measured apart, so the squares of the (logarithmic) ends'
    distances add up. It speaks of these very models, not of models at large.

    Parameters
    ----------
    ratios : each ``{"value", "low", "high"}``, positive; not empty unless the answer is None.
    """
    if not ratios or any(ratio["low"] is None or ratio["high"] is None for ratio in ratios):
        return None
    logs = [{name: math.log(ratio[name]) for name in ("value", "low", "high")} for ratio in ratios]
    count = len(logs)
    middle = sum(log["value"] for log in logs) / count
    down = math.sqrt(sum((log["value"] - log["low"]) ** 2 for log in logs)) / count
    up = math.sqrt(sum((log["high"] - log["value"]) ** 2 for log in logs)) / count
    return Effect(math.exp(middle), math.exp(middle - down), math.exp(middle + up), unit)
