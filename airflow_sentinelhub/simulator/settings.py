"""The timing table, and everything else about the simulated service that a test may want to change.

One flat table: the constructor (``Simulator(action_lag=1)``), the command line (``--set action_lag=1``) and the
control plane (``POST /_simulator/settings``) all take these names. Times are seconds of the simulated clock unless said
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from .cost import Rates
from .deployments import DEPLOYMENTS, Deployment


@dataclass(frozen=True)
class Settings:
    """How long things take, how much may be spent, and which oddities are on.

    The durations are choices of ours: the service publishes none. They are picked so that some 130 tiles take about ten
    minutes from start to end, which keeps the proportions of the few recorded runs. What was seen of the real
    service is only the order of events, and that is not a setting.
    """

    # Place: which deployment this is (aws-eu, aws-us-west-2, cdse). It decides which services there are, at which path
    # tokens are given, and where results may go (doc).
    deployment: str = "aws-eu"
    # Place: whether v1 answers. It is declared deprecated without a date (doc); whether it still does is not known.
    v1_answers: bool = True

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
    # Time: days without activity until batch statistical forgets a request that is CREATED, FAILED, or anything else
    # that is not at work (doc).
    statistical_retention_created_days: float = 7.0
    statistical_retention_failed_days: float = 15.0
    statistical_retention_days: float = 30.0

    # Time: v2 uploads the execution database "periodically" (doc); the period is not published.
    execution_upload_period: float = 60.0

    # Outputs: small GeoTIFFs and JSON files are really written, not only reported as delivered.
    write_images: bool = False

    # Account: PU bought. What started requests are planned to cost is taken off it.
    # v2 needs 1000 PU left to create (doc).
    balance: float = 1_000_000.0
    minimum_balance: float = 1000.0
    # Account: of a type that may use batch: enterprise on AWS, Copernicus Service on CDSE. Others cannot create (seen).
    batch_account: bool = True
    # Account: lifetime of an access token in REAL seconds, since the clients' clocks are real.
    token_lifetime: float = 3600.0

    # Price: days between the observations that ORBIT and TILE mosaicking read (doc: v1's estimate assumes three), and
    # whether orthorectification of Sentinel-1 counts twice (doc; older texts: "not applied at the moment").
    days_between_observations: float = 3.0
    orthorectification_charged: bool = True
    # Rates: requests a minute and in 744 hours; processing units a minute; null: no limit. Real (doc): 600 requests
    # and 1000 PU a minute for Enterprise S, 10 and 10 for a test user. What is over gets a real 429. Requests are
    # counted in REAL seconds, processing units in simulated ones; only calls that begin work wait for the latter.
    requests_per_minute: float | None = None
    requests_per_month: float | None = None
    pu_per_minute: float | None = None
    # Rates: tokens a minute; null: no limit. They are limited (doc), how much is not published. The 429 is HTML (seen).
    tokens_per_minute: float | None = None
    # Rates: a 429 has the header retry-after, in milliseconds (seen); its error comes without the usual wrapper (as in
    # the example of the documentation).
    retry_after: bool = True
    bare_429: bool = False

    # Limits: items on a page (seen: 100 tiles), vertices of an area (users keep to 1500 because batch refuses more).
    page_size: int = 100
    max_vertices: int = 1500

    # Oddities, off unless somebody asks. REALISTIC below has those that the service shows by itself.
    # Reads are so many seconds old: what was just created is not found, neither by its id nor in a list, and an action
    # does not show (seen: 404 after create; clients wait up to two minutes for it).
    replica_lag: float = 0.0
    # The share of the calls, 0 to 1, that get an answer they do not deserve (seen): a 503, a token refused although it
    # is alive, a 400 that misses the body of a create or the grant type of a token request. How many is not known.
    odd_share: float = 0.0
    # The share of the tiles or features that fail, in so many runs that they take part in (null: in every one), and of
    # those that get stuck (seen; how many is not known). PARTIAL again after a restart: two runs or more.
    tile_failure_share: float = 0.0
    tile_failure_runs: int | None = 1
    stuck_share: float = 0.0
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
    # v2: the list of tasks obeys `search`, as the contract of 2025 has it; the one of 2026 has no such parameter.
    search_tasks: bool = False
    # v2, statistical: replies have `domainAccountId`, which the contract calls deprecated.
    domain_account_id: bool = True
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

    @property
    def place(self) -> Deployment:
        """The deployment that the simulator is."""
        return DEPLOYMENTS[self.deployment]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


# What the service does by itself, in amounts that are seen or, where none is known, small. It is not the default, since
# a test that runs into it must be ready for it.
REALISTIC: Mapping[str, Any] = MappingProxyType(
    {
        "requests_per_minute": 600.0,
        "tokens_per_minute": 60.0,
        "replica_lag": 5.0,
        "odd_share": 0.01,
        "tile_failure_share": 0.005,
        "stuck_share": 0.005,
    }
)
_KINDS = {field.name: str(field.type) for field in fields(Settings)}
# Far more than any test needs, and little enough to reckon with: seconds (30,000 years), PU, items.
MOST, MOST_WORKERS = 1_000_000_000_000, 1_000_000
# Settings that are one of a few words.
CHOICES = {"deployment": tuple(DEPLOYMENTS)}
# Less than that a limit is none that anybody could wait for.
LEAST_RATE = 0.001
_RATES = {"requests_per_minute", "requests_per_month", "pu_per_minute", "tokens_per_minute"}
_POSITIVE = {
    *_RATES,
    *("concurrency", "page_size", "max_vertices", "tile_seconds", "tile_failure_runs", "days_between_observations"),
}


def _checked(name: str, value: Any) -> Any:
    kind = _KINDS.get(name)
    if kind is None:
        raise ValueError(f"There is no setting {name!r}; the settings are {', '.join(sorted(_KINDS))}.")
    if value is None and "None" in kind:
        return None
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise ValueError(f"The setting {name} is one of {', '.join(CHOICES[name])}, not {value!r}.")
        return value
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"The setting {name} is true or false, not {value!r}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"The setting {name} is a number, not {value!r}.")
    # Also what is no number at all (NaN), which the command line can give.
    if not -MOST <= value <= MOST:
        raise ValueError(f"The setting {name} is a number of at most {MOST:,}.")
    whole = kind.startswith("int")
    if whole and value != int(value):
        raise ValueError(f"The setting {name} is a whole number, not {value!r}.")
    if value < 0 or (name in _POSITIVE and value == 0):
        raise ValueError(f"The setting {name} cannot be {value!r}.")
    if name in _RATES and value < LEAST_RATE:
        raise ValueError(f"The setting {name} is null or at least {LEAST_RATE}.")
    if name == "concurrency" and value > MOST_WORKERS:
        raise ValueError(f"The setting concurrency is at most {MOST_WORKERS:,}.")
    if name == "tile_jitter" and value >= 1:
        raise ValueError("The setting tile_jitter is a share below 1.")
    if name.endswith("_share") and value > 1:
        raise ValueError(f"The setting {name} is a share of at most 1.")
    return int(value) if whole else float(value)
