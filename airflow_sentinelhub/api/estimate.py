"""What a job will cost before it is started, in processing units (PU): a low and a high value, with every factor.

The rules are those that the service publishes: one PU is 512 x 512 pixels of output, three input bands, one data sample
a pixel and at most 16 bits; the factors are multiplied. What the service does not tell before the job has run (the
number of observations), or tells in two ways, becomes a range, and what was assumed is said. Pure: nothing is read or
sent. The caller gives the number of tiles or features and their pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.service.data_sources import FORMER
from airflow_sentinelhub.api.service.generations import Pricing, generation
from airflow_sentinelhub.api.service.intervals import intervals_of
from airflow_sentinelhub.api.service.observations import Observations, observations_of, sources_of
from airflow_sentinelhub.exceptions import EstimateError

PIXELS_OF_ONE = 512 * 512
SMALLEST_AREA = 0.01
BANDS_OF_ONE = 3
BATCH_SHARE = 1 / 3
BATCH_FROM_PIXELS = 10_000
PU_A_MEGABYTE = 0.03
"""PU for the delivery of a megabyte to another region of the same cloud."""
LEAST = "at least"
_FREE_BAND = "dataMask"
_FORMATS = {"application/octet-stream": 1.4}
_TIFF, _ZARR = "image/tiff", "zarr/array"
_BYTES = {"UINT8": 1, "INT8": 1, "AUTO": 1, "UINT16": 2, "INT16": 2, "FLOAT32": 4}


class Pixels(NamedTuple):
    """So many tiles or features of one size.

    :param width, height: of the output in pixels, with buffers.
    :param number: of tiles or features of this size.
    """

    width: int
    height: int
    number: int = 1


class ScriptInput(Protocol):
    """A data source in an evalscript's `setup()`, see `evalscripts.Input`."""

    @property
    def datasource(self) -> str | None: ...
    @property
    def bands(self) -> Sequence[str]: ...


class ScriptOutput(Protocol):
    """An output in an evalscript's `setup()`, see `evalscripts.Output`."""

    @property
    def id(self) -> str: ...
    @property
    def bands(self) -> int: ...
    @property
    def sample_type(self) -> str: ...


class ScriptSetup(Protocol):
    """What an evalscript's `setup()` says, as `evalscripts.read_setup` returns it."""

    @property
    def inputs(self) -> Sequence[ScriptInput]: ...
    @property
    def outputs(self) -> Sequence[ScriptOutput]: ...
    @property
    def mosaicking(self) -> str: ...
    @property
    def exact(self) -> bool: ...
    @property
    def problem(self) -> str | None: ...


@dataclass(frozen=True)
class Factor:
    """One factor of the price.

    :param name: a word for it.
    :param value: in the low value of the estimate.
    :param high: in the high value, None if it is the same.
    :param why: how it comes about.
    :param how: `x` multiplies, `+` adds PU, `at least` is the smallest number of PU (0 in the low value if it is not
        certain).
    """

    name: str
    value: float
    why: str
    high: float | None = None
    how: str = "x"

    @property
    def most(self) -> float:
        """Its value in the high value of the estimate."""
        return self.value if self.high is None else self.high

    def __str__(self) -> str:
        return f"{self.how} {self.span} ({self.name}: {self.why})"

    @property
    def span(self) -> str:
        """Its values in words: a range, but of a smallest number only that number."""
        return _number(self.most) if self.how == LEAST else span(self.value, self.most)


@dataclass(frozen=True)
class Estimate:
    """What a job will cost.

    :param low, high: PU that it costs at least and at most, by what is known.
    :param factors: in the order in which they are applied.
    :param assumed: what was assumed, a sentence each.
    :param exact: low and high are the same, and the evalscript's `setup()` was run, not read as text.
    :param number: of tiles or features.
    :param balance: PU that the account must have when the request is created.
    :param probable: PU that it will probably cost, None: the middle.
    """

    low: float
    high: float
    factors: tuple[Factor, ...]
    assumed: tuple[str, ...] = ()
    exact: bool = False
    balance: float = 0.0
    number: int = 0
    probable: float | None = None

    @property
    def expected(self) -> float:
        """PU that it will probably cost: the middle, but no less than the minimum of the service's text."""
        return (self.low + self.high) / 2 if self.probable is None else self.probable

    def __str__(self) -> str:
        return f"{span(self.low, self.high)} PU"

    def lines(self) -> list[str]:
        """The estimate, its factors and what was assumed, as lines of text."""
        found = [f"about {self}" if not self.exact else f"{self}", *map(str, self.factors)]
        if self.balance:
            found.append(f"{_number(self.balance)} PU must be on the account when the request is created")
        return [*found, *(f"assumed: {text}" for text in self.assumed)]

    def as_dict(self) -> dict[str, Any]:
        """The same for programs: plain JSON."""
        return {
            "low": self.low,
            "high": self.high,
            "expected": self.expected,
            "exact": self.exact,
            "balance": self.balance,
            "number": self.number,
            "factors": [
                {"name": each.name, "how": each.how, "value": each.value, "high": each.most, "why": each.why}
                for each in self.factors
            ],
            "assumed": list(self.assumed),
        }


def span(low: float, high: float) -> str:
    """A range of PU in words: one number where both look the same."""
    first, last = _number(low), _number(high)
    return first if first == last else f"{first} to {last}"


def estimate(
    payload: Mapping[str, Any],
    sizes: Iterable[tuple[int, int, int]],
    setup: ScriptSetup,
    *,
    batch_api: str,
    service_region: str | None = None,
) -> Estimate:
    """Estimate a job.

    :param payload: of the create call, or the request as the service returns it.
    :param sizes: tiles or features by their pixels, see `Pixels`. No size twice is needed, but does no harm.
    :param setup: what the evalscript's `setup()` says.
    :param batch_api: `v1`, `v2` or `statistical`.
    :param service_region: cloud region of the service, None if it is not known.
    :raises EstimateError: the payload or the evalscript says too little.
    """
    if setup.problem:
        raise EstimateError(f"The evalscript's setup() cannot be read: {setup.problem.rstrip('.')}.")
    tiles = [Pixels(*size) for size in sizes if size[2] > 0]
    assumed: list[str] = []
    if not setup.exact:
        assumed.append("the evalscript was read as text, not run, so bands and mosaicking are a guess")
    pricing = generation(batch_api).pricing
    job = _Job(payload, pricing, setup, tiles, service_region, assumed)
    factors = [*job.area(), job.bands(), *job.format(), *job.samples(), *job.orthorectified(), *job.delivery()]
    low = high = 1.0
    for factor in factors:
        low, high = (
            (low + factor.value, high + factor.most)
            if factor.how == "+"
            else (
                low * factor.value,
                high * factor.most,
            )
        )
    if job.skips_existing:
        low = 0.0
        assumed.append("files that exist already are skipped (skipExisting) and cost nothing; how many is not known")
    expected = (low + high) / 2
    if tiles and (least := job.least()):
        factors.append(least)
        low, high, expected = max(low, least.value), max(high, least.most), max(expected, least.most)
    number = sum(size.number for size in tiles)
    exact = setup.exact and low == high
    return Estimate(low, high, tuple(factors), tuple(assumed), exact, pricing.balance, number, expected)


@dataclass
class _Job:
    """A job while it is estimated. Each method returns factors; `assumed` collects what they assume."""

    payload: Mapping[str, Any]
    pricing: Pricing
    setup: ScriptSetup
    tiles: list[Pixels]
    service_region: str | None
    assumed: list[str]

    @property
    def process(self) -> Any:
        """The part of the payload that names data and outputs."""
        return self.payload if self.pricing.statistics else member(self.payload, "processRequest")

    @property
    def skips_existing(self) -> bool:
        return member(self.payload, "output", "skipExisting") is True

    def area(self) -> Iterable[Factor]:
        count = sum(size.number for size in self.tiles)
        areas = [(max(size.width * size.height / PIXELS_OF_ONE, SMALLEST_AREA), size) for size in self.tiles]
        total = sum(area * size.number for area, size in areas)
        named = f"{count:,} {self.pricing.things}"
        if len({size[:2] for size in self.tiles}) == 1:
            width, height, _ = self.tiles[0]
            named += f" of {width:,} x {height:,} pixels"
        yield Factor("area", total, f"{named}, one PU is 512 x 512 pixels")
        charged = sum(
            area * size.number * (BATCH_SHARE if size.width * size.height >= BATCH_FROM_PIXELS else 1.0)
            for area, size in areas
        )
        few = sum(size.number for size in self.tiles if size.width * size.height < BATCH_FROM_PIXELS)
        rule = f"a third for {self.pricing.things} of at least {BATCH_FROM_PIXELS:,} pixels"
        yield Factor("batch", charged / total if total else 1.0, rule + (f", which {few:,} do not have" if few else ""))

    def bands(self) -> Factor:
        """Input bands by three, of all data sources together."""
        names = [band for item in self.setup.inputs for band in item.bands]
        if not names and not self.setup.exact:
            raise EstimateError("The evalscript names no input bands that can be read as text.")
        paid = [name for name in names if name != _FREE_BAND]
        free = " (dataMask is free)" if len(paid) < len(names) else ""
        return Factor("input bands", max(1, len(paid)) / BANDS_OF_ONE, f"{max(1, len(paid))} of three{free}")

    def format(self) -> Iterable[Factor]:
        """The output format: 32-bit floats count twice in TIFF."""
        if self.pricing.statistics:
            return
        found = [self._format(kind, output) for kind, output in self._outputs()]
        value, why = max(found, default=(1.0, "8 or 16 bit"))
        unknown = [kind for kind, output in self._outputs() if output is None]
        most = max([value, *(self._format(kind, each)[0] for kind in unknown for each in self.setup.outputs)])
        if most > value:
            why += "; more if the output that is asked for, which setup() does not have, is one of its others"
        yield Factor("format", value, why, most)

    def _format(self, kind: str, output: ScriptOutput | None) -> tuple[float, str]:
        floats = output is not None and output.sample_type == "FLOAT32"
        if kind == _ZARR and floats:
            text = "Zarr arrays of 32-bit floats count like TIFF files of them"
            if text not in self.assumed:
                self.assumed.append(text)
            return 2.0, "32-bit float, Zarr"
        if kind == _TIFF and floats:
            return 2.0, "32-bit float TIFF"
        return (_FORMATS[kind], kind) if kind in _FORMATS else (1.0, "8 or 16 bit")

    def _outputs(self) -> Iterable[tuple[str, ScriptOutput | None]]:
        """Format and output of each response that is asked for."""
        by_id = {output.id: output for output in self.setup.outputs}
        if member(self.payload, "output", "type") == "zarr" or member(self.payload, "zarrOutput"):
            for output in self.setup.outputs:
                yield _ZARR, output
            return
        responses = member(self.process, "output", "responses")
        for response in responses if isinstance(responses, list) and responses else [{}]:
            identifier = str(member(response, "identifier") or "default")
            only = self.setup.outputs[0] if len(self.setup.outputs) == 1 and identifier == "default" else None
            kind = str(member(response, "format", "type") or _TIFF).partition(";")[0].strip()
            yield kind, by_id.get(identifier, only)

    def samples(self) -> Iterable[Factor]:
        """Data samples a pixel, and the intervals of statistics."""
        length: float | None = None
        if self.pricing.statistics:
            intervals = intervals_of(member(self.payload, "aggregation"))
            if intervals is None:
                raise EstimateError("The aggregation has no time range and interval that can be read.")
            count, length = intervals
            yield Factor("intervals", float(count), f"of {length:g} days")
            if _in_months(self.payload):
                self.assumed.append("a month has 30 days, a year 365")
        mosaicking = self.setup.mosaicking
        if mosaicking == "SIMPLE":
            yield Factor("samples", 1.0, "SIMPLE mosaicking, one a pixel")
            return
        found = self._observations(length)
        weights = [sum(band != _FREE_BAND for band in bands) or 1 for bands, _ in found]
        low = sum(weight * seen.low for weight, (_, seen) in zip(weights, found, strict=True)) / sum(weights)
        high = max(seen.high for _, seen in found)
        why = "; ".join(dict.fromkeys(seen.why for _, seen in found))
        yield Factor("samples", low, f"{mosaicking} mosaicking, one an observation: {why}", high)
        self.assumed.append("the number of observations follows from the time range and the collection's revisit")

    def _observations(self, days: float | None) -> list[tuple[Sequence[str], Observations]]:
        """Bands and observations of each data source that the evalscript reads."""
        sources = sources_of(member(self.process, "input", "data"))
        by_id = {str(member(source, "id")): source for source in sources if member(source, "id")}
        found = []
        for item in self.setup.inputs or ():
            named = by_id.get(item.datasource) if item.datasource else None
            for source in [named] if named is not None else sources:
                seen = observations_of(source, self.setup.mosaicking, days)
                if seen is None:
                    raise EstimateError(
                        f"The data source {member(source, 'type')} has no time range, so the observations of "
                        f"{self.setup.mosaicking} mosaicking cannot be counted."
                    )
                found.append((item.bands, seen))
        if not found:
            raise EstimateError("The request names no data source.")
        return found

    def orthorectified(self) -> Iterable[Factor]:
        for source in sources_of(member(self.process, "input", "data")):
            name = str(member(source, "type") or "")
            if (
                FORMER.get(name, name) == "sentinel-1-grd"
                and str(member(source, "processing", "orthorectify")).lower() == "true"
            ):
                self.assumed.append(
                    "the service's texts say both that orthorectification counts twice and that it is not counted yet"
                )
                yield Factor("orthorectification", 1.0, "Sentinel-1 GRD, counts once or twice", 2.0)
                return

    def delivery(self) -> Iterable[Factor]:
        """Delivery to another region: from nothing (all compressed away) to the files without compression."""
        place = member(self.payload, "output", "s3") or member(self.payload, "output", "delivery", "s3")
        region = member(place, "region")
        if not region or self.service_region is None:
            self.assumed.append(f"the bucket is in the service's region; else {PU_A_MEGABYTE:g} PU are added for a MB")
            return
        if region == self.service_region or self.pricing.statistics:
            return
        depth = sum(output.bands * _BYTES.get(output.sample_type, 2) for _, output in self._outputs() if output)
        pixels = sum(size.width * size.height * size.number for size in self.tiles)
        megabytes = pixels * depth / 1e6
        why = f"{self.service_region} to {region}, up to {megabytes:,.0f} MB by {PU_A_MEGABYTE:g} PU"
        yield Factor("delivery to another region", 0.0, why, megabytes * PU_A_MEGABYTE, "+")

    def least(self) -> Factor | None:
        """The least that a request costs: by the service's text, but requests that have cost less were seen."""
        least, why = self.pricing.minimum, "of a batch request, by the service's text; some have cost less"
        return Factor("minimum", 0.0, why, least, LEAST) if least else None


def _in_months(payload: Mapping[str, Any]) -> bool:
    text = str(member(payload, "aggregation", "aggregationInterval", "of") or "").partition("T")[0]
    return "M" in text or "Y" in text


def _number(value: float) -> str:
    """A number for people: three digits that count at least, no decimals from 100."""
    return f"{value:,.0f}" if value == 0 or abs(value) >= 100 else f"{value:,.3g}"
