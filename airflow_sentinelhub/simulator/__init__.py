"""A Sentinel Hub that runs on your machine: OAuth, batch v1 and v2, real tiling, cost, faults, and a clock you own.

In a process of its own: ``python -m airflow_sentinelhub.simulator``. In a test: the pytest fixture
``sentinelhub_simulator``, or ``with Simulator() as simulator``. ``ControlPlane(url)`` drives one that runs elsewhere.
It knows nothing of the rest of the package, so that a misreading of the service cannot hide by being shared; only how
a user's evalscript is read (``evalscripts``, which knows no service) is one for both.
"""

from .remote import ControlPlane, SimulatorError
from .server import Simulator

__all__ = ["ControlPlane", "Simulator", "SimulatorError"]
