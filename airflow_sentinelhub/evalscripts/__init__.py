"""What an evalscript asks for: the reading of its ``setup()``, for whoever counts processing units.

The lowest floor of the package: a reading of the user's text, without knowledge of the service or of Airflow.
"""

from .reader import read_setup as read_setup
from .setup import Input as Input
from .setup import Output as Output
from .setup import Setup as Setup
