"""What a comparison found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

POOLED = "*"


@dataclass(frozen=True)
class Comparison:
    """One output of one case, or of all cases pooled.

    Parameters
    ----------
    case : its name, or ``"*"``.
    detail : one sentence a user understands.
    error_ratio, error_ratio_max : RMS and maximum of the error, in units of the original's own;
        None where nothing is measured (integers, wrong shapes).
    threshold, threshold_max : the greatest ratios that pass; None where nothing is measured.
    unstable : how many elements hang on a rounding and were left out of the ratios.
    elements : how many elements were compared.
    """

    case: str
    output: str
    passed: bool
    detail: str
    error_ratio: float | None = None
    error_ratio_max: float | None = None
    threshold: float | None = None
    threshold_max: float | None = None
    unstable: int = 0
    elements: int = 0

    @property
    def severity(self) -> float:
        """How much of what is allowed was used: above 1 fails; infinity if it cannot be measured.

        For an exact comparison, 0 or infinity.
        """
        if self.error_ratio is None or self.error_ratio_max is None:
            return 0.0 if self.passed else float("inf")
        used = max(
            self.error_ratio / (self.threshold or 1.0),
            self.error_ratio_max / (self.threshold_max or 1.0),
        )
        return used if self.passed == (used <= 1.0) else float("inf")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        """Read what `to_json` wrote."""
        return cls(**data)


@dataclass(frozen=True)
class Validation:
    """All comparisons of one artifact."""

    comparisons: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        """Whether something was compared and all of it passed."""
        return bool(self.comparisons) and all(c.passed for c in self.comparisons)

    @property
    def worst(self) -> Comparison | None:
        """The comparison that says most: the worst failure, else the pooled one nearest its limit.

        A pooled failure that was measured goes before a single case's.
        """
        wrong = [c for c in self.comparisons if not c.passed]
        # That an output could not be pooled says less than why.
        wrong = [c for c in wrong if c.case != POOLED or c.error_ratio is not None] or wrong
        chosen = wrong or [c for c in self.comparisons if c.case == POOLED] or self.comparisons
        return max(chosen, key=lambda c: (c.severity, c.case == POOLED), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"passed": self.passed, "comparisons": [c.to_json() for c in self.comparisons]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Validation:
        """Read what `to_json` wrote; `passed` is derived again."""
        return cls(tuple(Comparison.from_json(c) for c in data["comparisons"]))
