"""What waiting costs: this package against one poll per trigger and the vendor's client, in one run (`make bench`)."""

from __future__ import annotations

import os
import sys
import threading


def end_with_parent() -> None:
    """End this process when the one that has started it is gone: its end of our standard input is closed then."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
