"""Look at a payload without sending it: its tiles by the grids that the package knows, its area and its price.

It needs numpy, pyproj and shapely (extra `preview`), which are imported when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.estimate import Estimate, estimate, span
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.api.service.payloads import grid_complaint
from airflow_sentinelhub.evalscripts import read_setup
from airflow_sentinelhub.exceptions import EstimateError, InvalidInputError, ResultsError
from airflow_sentinelhub.grids.known import GRIDS
from airflow_sentinelhub.preview.report import Finding, Preview
from airflow_sentinelhub.redaction import hidden
from airflow_sentinelhub.results.geopackage import complaint_about
from airflow_sentinelhub.shapes._libraries import needed_for

if TYPE_CHECKING:
    from airflow_sentinelhub.grids.tiling import TileSet

EXTRA = "airflow-sentinelhub[preview]"
Sizes = list[tuple[int, int, int]]


@dataclass
class _Look:
    """One look at a payload; each method adds to what was found."""

    payload: Mapping[str, Any]
    batch_api: str
    geopackage: Path | None
    findings: list[Finding] = field(default_factory=list)
    shape: Any = None
    names: list[str] | None = None
    outlines: Any = ()
    area: list[list[tuple[float, float]]] = field(default_factory=list)
    area_km2: float | None = None
    sizes: Sizes | None = None

    def refuse(self, text: str) -> None:
        self.findings.append(Finding("refused", text))

    def look_at_area(self) -> None:
        from airflow_sentinelhub.preview.shape import rings_of, shape_of, square_kilometres

        bounds = member(self.payload, "processRequest", "input", "bounds")
        if bounds is None:
            return
        try:
            self.shape = shape_of(bounds)
        except InvalidInputError as err:
            self.refuse(str(err))
            return
        self.area, self.area_km2 = rings_of(self.shape), square_kilometres(self.shape)

    def look_at_tiles(self, wanted: Mapping[str, Any]) -> None:
        from airflow_sentinelhub.grids.tiling import tiles_of

        if complaint := grid_complaint(wanted, [grid.descriptor() for grid in GRIDS.values()]):
            self.refuse(complaint)
        number = wanted.get("id")
        grid = GRIDS.get(number) if isinstance(number, int) else None
        if grid is None or self.shape is None:
            return
        tiles: TileSet = tiles_of(self.shape, grid)
        self.names, self.outlines = tiles.names(), tiles.outlines()
        if not self.names:
            self.refuse(f"The area does not touch any tile of tiling grid {grid.id} ({grid.name}).")
        try:
            side = grid.pixels(float(wanted["resolution"]))
            x, y = (int(wanted.get(name) or 0) for name in ("bufferX", "bufferY"))
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return
        self.sizes = [(side + 2 * x, side + 2 * y, len(self.names))]

    def look_at_features(self, url: str) -> None:
        from airflow_sentinelhub.preview.features import features_of

        if self.geopackage is None:
            self.findings.append(
                Finding(
                    "unknown",
                    f"The features of {url} were not read: a preview calls no bucket. "
                    "Give a local copy of the file (geopackage, --geopackage).",
                )
            )
            return
        if not self.geopackage.is_file():
            self.refuse(f"There is no GeoPackage at {self.geopackage}.")
            return
        statistical = generation(self.batch_api).pricing.statistics
        defaults = member(self.payload, "input", "defaults")
        if complaint := complaint_about(self.geopackage, defaults, statistical=statistical):
            self.refuse(f"GeoPackage {url}: {complaint}")
            return
        try:
            found = features_of(self.geopackage, self.payload, self.shape, statistical=statistical)
        except (InvalidInputError, ResultsError) as err:
            self.refuse(f"GeoPackage {url}: {err}")
            return
        if not found.names:
            self.refuse(f"GeoPackage {url}: it has no features that touch the area.")
        self.names, self.outlines, self.sizes = found.names, found.outlines, found.sizes
        self.area_km2 = found.area_km2

    def estimated(self, region: str | None) -> Estimate | None:
        script = member(self.payload, "processRequest", "evalscript") or member(
            self.payload, "aggregation", "evalscript"
        )
        if not isinstance(script, str):
            self.findings.append(
                Finding("unknown", "The request has no evalscript as text, so its price is not known.")
            )
            return None
        setup = read_setup(script)
        if setup.problem:
            self.refuse(f"The evalscript: {setup.problem}")
        else:
            self.look_at_outputs([output.id for output in setup.outputs], setup.exact)
        if not self.sizes:
            return None
        try:
            return estimate(self.payload, self.sizes, setup, batch_api=self.batch_api, service_region=region)
        except EstimateError as err:
            if not setup.problem:
                self.findings.append(Finding("unknown", f"The price cannot be estimated: {err}"))
            return None

    def look_at_outputs(self, there: list[str], exact: bool) -> None:
        """Whether the evalscript has the outputs that the request asks for (`userdata` is the service's own)."""
        responses = member(self.payload, "processRequest", "output", "responses")
        asked = [str(member(each, "identifier") or "default") for each in responses or () if isinstance(each, Mapping)]
        missing = [name for name in asked if name not in there and name != "userdata"]
        if not missing or not there or (missing == ["default"] and len(there) == 1):
            return  # the only output is the default one, whatever its name
        text = (
            f"The request asks for the output {' and '.join(missing)}, which setup() of the evalscript does not have; "
            f"it has {', '.join(there)}."
        )
        self.findings.append(Finding("refused" if exact and missing != ["default"] else "warning", text))

    def look_at_budget(self, price: Estimate | None, policy: Policy) -> None:
        limit = policy.max_processing_units
        if price is None:
            if policy.require_estimate:
                self.refuse("require_estimate is set, and the price is not known here.")
        elif limit is not None and not policy.allows(price.low):
            over = {"skip": "the task is skipped", "stop": "the task ends without it"}
            self.refuse(
                f"The job is expected to cost {span(price.low, price.high)} PU and max_processing_units is {limit:,g}: "
                f"it is not started, {over.get(policy.on_over_budget, 'the task fails')}."
            )
        elif limit is not None and not policy.allows(price.high):
            text = f"The job may cost up to {price.high:,.0f} PU, and max_processing_units is {limit:,g}."
            self.findings.append(Finding("warning", text))
        if policy.max_per_month is not None:
            self.look_at_month(price, policy.max_per_month)

    def look_at_month(self, price: Estimate | None, limit: float) -> None:
        """Hold this job alone against the budget of the month; what others have used of it is not known here."""
        text = f"What counts against max_processing_units_per_month ({limit:,g}) is read at the start."
        if price is not None and price.low > limit:
            self.refuse(
                f"The job is expected to cost {span(price.low, price.high)} PU and max_processing_units_per_month is "
                f"{limit:,g}: it is not started, whatever other jobs have used."
            )
            return
        if price is not None and price.high > limit:
            text += f" This job alone may cost up to {price.high:,.0f} PU."
        self.findings.append(Finding("unknown", text))


def preview_of(
    payload: Mapping[str, Any],
    batch_api: str,
    *,
    policy: Policy | None = None,
    geopackage: Path | None = None,
    region: str | None = None,
    findings: tuple[Finding, ...] = (),
) -> Preview:
    """Preview a payload of a create call. Nothing is sent, and no bucket is read.

    :param batch_api: `v1`, `v2` or `statistical`.
    :param policy: the limits of the job, None for no limit.
    :param geopackage: a local copy of the GeoPackage that the payload names; None: its features are not known.
    :param region: cloud region of the service, for the price of the delivery; None if it is not known.
    :param findings: what was found before.
    :raises SettingsError: numpy, pyproj or shapely is not installed.
    """
    with needed_for("A preview", EXTRA):
        import airflow_sentinelhub.grids.tiling
        import airflow_sentinelhub.preview.shape  # noqa: F401
    look = _Look(payload, batch_api, geopackage, list(findings))
    look.look_at_area()
    features = member(payload, "input", "features")
    places = features.values() if isinstance(features, Mapping) else ()
    url = next((str(place["url"]) for place in places if isinstance(place, Mapping) and place.get("url")), None)
    if url is not None:
        look.look_at_features(url)
    else:
        look.look_at_tiles(payload.get("tilingGrid") or payload.get("input") or {})
    price = look.estimated(region)
    look.look_at_budget(price, policy or Policy())
    return Preview(
        batch_api=batch_api,
        payload=hidden(payload),
        things="tiles" if url is None else "features",
        names=look.names,
        outlines=look.outlines,
        area=look.area,
        area_km2=look.area_km2,
        estimate=price,
        findings=tuple(look.findings),
    )
