"""What a process of the comparison has used so far."""

from __future__ import annotations

import json
import os
import resource
import urllib.request


def cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory() -> int:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bytes_of_files() -> int:
    """Bytes that this process has read from files so far."""
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])


def asked(url: str) -> dict[str, float]:
    """What the service was asked so far."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/count", timeout=30) as reply:
        found: dict[str, float] = json.load(reply)
    return found
