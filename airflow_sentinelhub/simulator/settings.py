"""The timing table, and everything else about the simulated service that a test may want to change.

One flat table: the constructor (``Simulator(action_lag=1)``), the command line (``--set action_lag=1``) and the
control plane (``POST /_simulator/settings``) all take these names. Times are seconds of the simulated clock unless said
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .cost import Rates


@dataclass(frozen=True)
class Settings:
    """How long things take, how much may be spent, and which oddities are on.

    The durations are choices of ours: the service publishes none. They are picked so that some 130 tiles take about ten
    minutes from start to end, which keeps the proportions of the few recorded runs. What was seen of the real
    service is only the order of events, and that is not a setting.
    """

    # Time: from an action to the first status that shows it (seen: the status never moves at once).
    action_lag: float = 5.0
    analysis_seconds: float = 20.0
    analysis_seconds_per_100_tiles: float = 1.0
    # Time: the same for analysis and start of batch statistical (seen: CREATED in two polls, a minute apart).
    statistical_lag: float = 90.0
    # Time: one tile, the share by which it may be faster or slower, and how many are worked on together.
    tile_seconds: float = 40.0
    tile_jitter: float = 0.3
    concurrency: int = 10
    # Time: how long before its processing a tile is SCHEDULED.
    schedule_lead: float = 10.0
    # Time: all tiles finished, the request still PROCESSING (seen).
    settle_seconds: float = 10.0
    # Time: after which a tile counts as stuck and goes back to PENDING (doc: twice, the third time it fails).
    stuck_seconds: float = 120.0
    # Time: v2 bills "from time to time" (doc); the period is not published.
    billing_period: float = 30.0
    # Time: v2 refuses a start so soon after a stop (doc: 30 minutes after a user's; 60 after OUT_OF_PU is documented
    # for batch statistical and taken over here).
    restart_wait: float = 1800.0
    restart_wait_out_of_pu: float = 3600.0
    # Time: days until v1 forgets a finished or never started request (doc: "some time").
    retention_days: float = 30.0

    # Time: v2 uploads the execution database "periodically" (doc); the period is not published.
    execution_upload_period: float = 60.0

    # Outputs: small GeoTIFFs and JSON files are really written, not only reported as delivered.
    write_images: bool = False

    # Account: PU bought. What started requests are planned to cost is taken off it.
    # v2 needs 1000 PU left to create (doc).
    balance: float = 1_000_000.0
    minimum_balance: float = 1000.0
    # Account: lifetime of an access token in REAL seconds, since the clients' clocks are real.
    token_lifetime: float = 3600.0

    # Price: days between the observations that ORBIT and TILE mosaicking read (doc: v1's estimate assumes three), and
    # whether orthorectification of Sentinel-1 counts twice (doc; older texts: "not applied at the moment").
    days_between_observations: float = 3.0
    orthorectification_charged: bool = True

    # Limits: items on a page (seen: 100 tiles), vertices of an area (users keep to 1500 because batch refuses more).
    page_size: int = 100
    max_vertices: int = 1500

    # Oddities, off unless somebody asks.
    # v2: analysis ends in DONE, cost 0, as if every output existed (seen).
    done_out_of_analysis: bool = False
    # v1: PARTIAL becomes DONE by itself after so many seconds (seen); null: never.
    partial_heals_after: float | None = None
    # v2: the share of the features, 0 to 1, for which there is no data: DONE, nothing delivered (doc).
    # Statistics of such features are "NaN" (seen).
    no_data_share: float = 0.0
    # Statistical: the share of the features, 0 to 1, in which an interval fails.
    failed_intervals_share: float = 0.0
    # v2: analysis leaves no feature manifest; processing no execution database, or one that is half uploaded or has
    # tables nobody knows. Turned off again, the next reader finds the file as it should be.
    manifest_missing: bool = False
    execution_missing: bool = False
    execution_truncated: bool = False
    execution_other_schema: bool = False
    # v1: created and fetched collections come as {"data": {...}}. The vendor's client expects it, the
    # contract does not.
    wrap_collections: bool = True
    # v1: the tiles' "data" before analysis is null rather than missing (both fit what clients report).
    null_tiles_before_analysis: bool = False

    def updated(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some of them changed; raises ValueError in one sentence for what is wrong."""
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})

    @property
    def rates(self) -> Rates:
        """What of the price is a setting."""
        return Rates(self.days_between_observations, self.orthorectification_charged)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_KINDS = {field.name: str(field.type) for field in fields(Settings)}
# Far more than any test needs, and little enough to reckon with: seconds (30,000 years), PU, items.
MOST, MOST_WORKERS = 1_000_000_000_000, 1_000_000
_POSITIVE = {"concurrency", "page_size", "max_vertices", "tile_seconds", "days_between_observations"}


def _checked(name: str, value: Any) -> Any:
    kind = _KINDS.get(name)
    if kind is None:
        raise ValueError(f"There is no setting {name!r}; the settings are {', '.join(sorted(_KINDS))}.")
    if value is None and "None" in kind:
        return None
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"The setting {name} is true or false, not {value!r}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"The setting {name} is a number, not {value!r}.")
    # Also what is no number at all (NaN), which the command line can give.
    if not -MOST <= value <= MOST:
        raise ValueError(f"The setting {name} is a number of at most {MOST:,}.")
    if kind == "int" and value != int(value):
        raise ValueError(f"The setting {name} is a whole number, not {value!r}.")
    if value < 0 or (name in _POSITIVE and value == 0):
        raise ValueError(f"The setting {name} cannot be {value!r}.")
    if name == "concurrency" and value > MOST_WORKERS:
        raise ValueError(f"The setting concurrency is at most {MOST_WORKERS:,}.")
    if name == "tile_jitter" and value >= 1:
        raise ValueError("The setting tile_jitter is a share below 1.")
    if name in ("no_data_share", "failed_intervals_share") and value > 1:
        raise ValueError(f"The setting {name} is a share of at most 1.")
    return int(value) if kind == "int" else float(value)
