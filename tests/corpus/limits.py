"""What cannot work: (file, model, format) -> a part of the reason that the cell tells.

``static: `` in front of a reason means that the cell passes at the traced sizes only.
"""

LIMITS: dict[tuple[str, str, str], str] = {}
