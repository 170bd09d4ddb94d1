"""A ``.pt`` file that is a pickle: a state dict, a checkpoint, or a whole module."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from shipworthy.models.given import Given
from shipworthy.models.own import Opened, OwnModelError


def load_pickle(given: Given, path: Path) -> Opened:
    """Say what a pickle holds; load a whole module from it if the user trusts it.

    Raises
    ------
    OwnModelError : it holds no module, or running code of the file's would be needed.
    """
    import torch

    found, why = None, ""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # it holds more than tensors and plain values, or is damaged
        named = re.search(r"GLOBAL (\S+)", str(e))
        why = f"it names {named[1]}" if named else "or is damaged"
    if why and given.trust:
        for folder in (str(path.parent), str(Path.cwd())):
            if folder not in sys.path:
                sys.path.insert(0, folder)
        try:
            # The user has said --trust.
            found = torch.load(path, map_location="cpu", weights_only=False)
        except Exception as e:
            raise OwnModelError(
                f"{path} cannot be unpickled: {first_line(e)}; the code of its classes has to be "
                "where you are, or beside the file"
            ) from e
        why = ""
    if why:
        raise OwnModelError(
            f"{path} is a pickle of more than tensors and plain values ({why}); loading it would "
            "run code of the file's. If you trust where it comes from, say --trust; better, save "
            "model.state_dict() and give file.py:NAME --weights FILE"
        )
    if isinstance(found, torch.nn.Module):
        note = "The file is a pickle, and code that it names was run (--trust)."
        return Opened("pytorch", "module", found.eval(), notes=(note,))
    raise OwnModelError(
        f"{path} holds {_content(found)}, without the model they belong to; give the code that "
        f"builds it: file.py:NAME --weights {path.name}"
    )


def _content(found: Any) -> str:
    if isinstance(found, dict):
        keys = ", ".join(map(repr, list(found)[:4]))
        return f"{len(found)} values ({keys}, ...)" if len(found) > 4 else f"values ({keys})"
    return f"a {type(found).__name__}"


def first_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
