"""How long does importing the operators take on top of `import airflow.sdk`? Both in one run, by turns.

    python tests/bench_import.py [runs]

Prints the medians and their ratio. Not collected by pytest: a time is no test.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

BARE = "import airflow.sdk"
OURS = f"{BARE}; from airflow.sdk import BaseOperator, BaseSensorOperator; import airflow_sentinelhub.operators.batch"
BASES = f"{BARE}; from airflow.sdk import BaseOperator, BaseSensorOperator; import airflow.triggers.base"


def took(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    times: dict[str, list[float]] = {BARE: [], BASES: [], OURS: []}
    for _ in range(runs):
        for code, seen in times.items():
            seen.append(took(code))
    bare, bases, ours = (statistics.median(seen) for seen in times.values())
    print(f"import airflow.sdk                      {bare * 1000:7.0f} ms")
    print(f"  with the base classes of Airflow      {bases * 1000:7.0f} ms   {bases / bare:.2f} x")
    print(f"  with airflow_sentinelhub's operators  {ours * 1000:7.0f} ms   {ours / bare:.2f} x")
    print(f"airflow_sentinelhub adds                {(ours - bases) * 1000:7.0f} ms to the base classes")


if __name__ == "__main__":
    main()
