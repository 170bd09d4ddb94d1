"""Trains one model in one framework: ``python -m shipworthy.models.train NAME FRAMEWORK``.

Prints the folder of the weights to stdout and progress to stderr. Exit codes: 0 trained (or it was
already), 1 the training failed, 2 wrong usage, 130 and 143 stopped by a signal.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from shipworthy.models import zoo
from shipworthy.models.training import TrainingError
from shipworthy.models.weights import FILENAMES


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and return the exit code."""
    parser = argparse.ArgumentParser("python -m shipworthy.models.train", description=__doc__)
    parser.add_argument("name", help="such as: cnn")
    parser.add_argument("framework", choices=FILENAMES)
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    # Set before Keras and TensorFlow are imported: train on TensorFlow, whatever the user's
    # keras.json says. What is an error to a training reaches it as an exception; TensorFlow's log
    # calls every operation one that oneDNN cannot take over.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        print(zoo.trained(zoo.source(options.name, options.framework)))
    except zoo.ZooError as e:
        parser.error(str(e))
    except (TrainingError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    """Leave through every `finally`, so that the half-trained folder goes; once is enough."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    print(f"stopped by {signal.Signals(number).name}; nothing was kept", file=sys.stderr)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    raise SystemExit(main())
