"""`run.py` in a process that does something at a counted event, for tests that must not depend on time.

  python tests/sweep_worker.py FOLDER kill=N ARGUMENTS      kills itself at its Nth event under the folder
  python tests/sweep_worker.py FOLDER wait=PATTERN ARGUMENTS
                                    waits, in its first trial, until there are as many trials as two of PATTERN

Events are what Python does to files under the folder: opening, renaming, locking, in whatever thread.
"""

import os
import runpy
import signal
import sys
import time
from pathlib import Path

FOLDER, (WHAT, _, VALUE) = Path(sys.argv[1]), sys.argv[2].partition("=")


class Events:
    """Counts them, and acts at one."""

    def __init__(self):
        self.count = 0

    def __call__(self, event, arguments):
        if event == "fcntl.flock":
            self.happened("")
        elif event in ("open", "os.rename", "os.mkdir", "os.remove") and isinstance(arguments[0], str):
            if arguments[0].startswith(str(FOLDER)):
                self.happened(arguments[0])

    def happened(self, path):
        self.count += 1
        if WHAT == "kill" and self.count == int(VALUE):
            os.kill(os.getpid(), signal.SIGKILL)
        if WHAT == "wait" and path.endswith("noise.npz.tmp"):
            while len(list(FOLDER.glob(VALUE))) < 2:
                time.sleep(0.01)
