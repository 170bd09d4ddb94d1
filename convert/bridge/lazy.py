"""TensorFlow, imported when it is first used.

The table of ops is also read where TensorFlow is not wanted (to generate the coverage page).
"""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """Stands for a module until one of its names is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


tf: Any = Lazy("tensorflow")
