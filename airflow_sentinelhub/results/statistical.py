"""Read the results of a statistical request: one JSON file for each feature, in the forms that the service writes.

- `{"id", "identifier", "response": {"data": [...], "status": "OK"}}`: a good one; single intervals in it may carry an
  `error` with a `type`. Statistics without any data are the text `"NaN"`.
- `{"id", "identifier", "error": {"type": "EXECUTION_ERROR"}}` and `{..., "response": {"data": null, "status":
  "FAILED"}}`: a failed one. A DONE request may have such features, which only these files show.

All methods block. Files are read in order, when they are needed, and a few in advance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from airflow_sentinelhub.api.service.statistical import features_of, place_of, read_request
from airflow_sentinelhub.exceptions import ResultsError, SentinelHubError
from airflow_sentinelhub.results._sqlite import TEXT, DatabaseFile, opened, quoted
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.folders import temporary_folder
from airflow_sentinelhub.results.geopackage import read_outlines

AT_ONCE = 8
"""Files that are fetched at the same time."""
MISSING = "MISSING"
"""Error of a feature that is in the GeoPackage and has no file, although the request is DONE."""
_PATTERNS = {"<ID>": r"(?P<id>\d+)", "<IDENTIFIER>": r"(?P<identifier>[^/]+)"}


@dataclass(frozen=True)
class StatisticalFeature:
    """The result of one feature.

    :param id, identifier: as in the GeoPackage.
    :param url: its file.
    :param data: its intervals in the service's words, `"NaN"` included; empty where it failed.
    :param error: why it failed as a whole, in the service's word (`EXECUTION_ERROR`, ...), None if it did not.
    :param interval_errors: start of each interval that failed, and its error.
    :param pending: it has no file, and the request is not DONE: it was not processed, or not yet.
    """

    id: int | str | None
    identifier: str
    url: str
    data: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    error: str | None = None
    interval_errors: tuple[tuple[str, str], ...] = ()
    pending: bool = False

    @property
    def failed(self) -> bool:
        """It, or one of its intervals, has no result because of an error."""
        return self.error is not None or bool(self.interval_errors)

    @property
    def status(self) -> str:
        """`OK`, `FAILED` or `PENDING`."""
        return "PENDING" if self.pending else "FAILED" if self.failed else "OK"

    @property
    def why(self) -> str | None:
        """Why it failed, in a few words."""
        if self.error is not None or not self.interval_errors:
            return self.error
        kinds = sorted({kind for _, kind in self.interval_errors})
        return f"{', '.join(kinds)} in {len(self.interval_errors)} of {len(self.data)} intervals"

    def rows(self) -> Iterator[dict[str, Any]]:
        """Its statistics flat: a row for each interval, output and band, `"NaN"` as a float that is not a number."""
        for item in self.data:
            times = item.get("interval") or {}
            for output, output_result in (item.get("outputs") or {}).items():
                for band, band_result in (output_result.get("bands") or {}).items():
                    yield {
                        "identifier": self.identifier,
                        "from": times.get("from"),
                        "to": times.get("to"),
                        "output": output,
                        "band": band,
                        **{name: _parsed(value) for name, value in (band_result.get("stats") or {}).items()},
                    }

    def as_item(self) -> dict[str, Any]:
        """A small item for XCom: `identifier`, `id`, `path`, `status` (`OK`, `FAILED` or `PENDING`), `error` if any."""
        item = {"identifier": self.identifier, "id": self.id, "path": self.url, "status": self.status}
        return {**item, "error": self.why} if self.failed else item


class StatisticalResults:
    """The results of one request.

    :param request_id: the request.
    :param url: where its results go, as it was given.
    :param reader: reads the bucket.
    :param geopackage: where its features are, to know which have no result; None to go by the files alone.
    :param done: the request is DONE, so that a feature without a file has failed. In one that was stopped it was not
        processed.
    """

    def __init__(
        self, request_id: str, url: str, reader: BucketReader, geopackage: str | None = None, *, done: bool = True
    ) -> None:
        self.request_id = request_id
        self.url = url
        self._reader = reader
        self._geopackage = geopackage
        self._done = done

    @property
    def template(self) -> str:
        """The path of a feature's file, with `<ID>` or `<IDENTIFIER>` left in it."""
        url = self.url if "<" in self.url else self.url.rstrip("/") + "/<REQUEST_ID>/<ID>.json"
        return url.replace("<REQUEST_ID>", self.request_id)

    @cached_property
    def expected(self) -> dict[int, str] | None:
        """Id -> identifier of the features of the GeoPackage; None where it cannot be read, see `reason`."""
        self._reason: str | None = "the request names no GeoPackage"
        if self._geopackage is None:
            return None
        try:
            with temporary_folder() as folder:
                path = self._reader.fetch(self._geopackage, folder)
                if path is None:
                    self._reason = f"there is no {self._geopackage} any more"
                    return None
                self._reason = None
                return _features(DatabaseFile(path, "GeoPackage", self.request_id, self._geopackage))
        except SentinelHubError as err:
            self._reason = str(err)
            return None

    @property
    def reason(self) -> str | None:
        """Why the features without any result cannot be determined; None if they can."""
        return self._reason if self.expected is None else None

    def urls(self) -> Iterator[str]:
        """The files of features that are there, in order. One call for every thousand.

        :raises ResultsError: the bucket cannot be read.
        """
        for url, _ in self._found():
            yield url

    def outlines(self) -> dict[str, tuple[int, list[list[tuple[float, float]]]]]:
        """EPSG code and outer rings of each feature of the GeoPackage by its identifier; empty without one.

        :raises ResultsError: the GeoPackage cannot be read.
        """
        if self._geopackage is None:
            return {}
        with temporary_folder() as folder:
            path = self._reader.fetch(self._geopackage, folder)
            if path is None:
                return {}
            file = DatabaseFile(path, "GeoPackage", self.request_id, self._geopackage)
            return {name: (crs, rings) for name, crs, rings in read_outlines(file)}

    def url_of(self, number: int, identifier: str) -> str:
        """The file of the feature with this id and identifier."""
        return self.template.replace("<ID>", str(number)).replace("<IDENTIFIER>", identifier)

    def features(self, known: Mapping[str, str] | None = None) -> Iterator[StatisticalFeature]:
        """All results, in order of their files, then the features of the GeoPackage that have none.

        These are `MISSING`, and pending if the request is not DONE.

        :param known: files that are not to be read again, each with the identifier of its feature.
        :raises ResultsError: the bucket or a file cannot be read.
        """
        expected, known = self.expected, known or {}
        identifiers = set(expected.values()) if expected is not None else set()
        seen: set[str] = set(known.values())
        wanted = (url for url, named in self._found() if _wanted(named, expected, identifiers))
        for feature in self.read(url for url in wanted if url not in known):
            seen.add(feature.identifier)
            yield feature
        for number, identifier in (expected or {}).items():
            if identifier not in seen:
                url = self.url_of(number, identifier)
                error = MISSING if self._done else None
                yield StatisticalFeature(number, identifier, url, error=error, pending=not self._done)

    def read(self, urls: Iterable[str]) -> Iterator[StatisticalFeature]:
        """The results in these files, in their order: what a mapped task reads of its chunk.

        :raises ResultsError: a file is not there or cannot be read.
        """
        left = iter(urls)
        with temporary_folder() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
            places = [folder / str(at) for at in range(4 * AT_ONCE)]  # files may have the same name
            for place in places:
                place.mkdir()
            while batch := list(islice(left, len(places))):
                yield from pool.map(self._read, batch, places)

    def failed(self) -> Iterator[StatisticalFeature]:
        """The features that failed as a whole or in single intervals, and those without a file."""
        return (feature for feature in self.features() if feature.failed)

    def _found(self) -> Iterator[tuple[str, dict[str, str]]]:
        """The files that fit the template, with what stands in the place of its placeholders."""
        parts = re.split(r"(<ID>|<IDENTIFIER>)", self.template)
        pattern, used = "", set[str]()
        for part in parts:
            pattern += _PATTERNS[part] if part in _PATTERNS and part not in used else _later(part)
            used.add(part)
        for url in self._reader.list(parts[0]):
            match = re.fullmatch(pattern, url)
            if match is not None and f"request-{self.request_id}" not in url:
                yield url, match.groupdict()

    def _read(self, url: str, folder: Path) -> StatisticalFeature:
        try:
            path = self._reader.fetch(url, folder)
            if path is None:
                raise ResultsError(f"there is no {url}.")
            body = json.loads(path.read_bytes())
            path.unlink()
        except ResultsError as err:
            raise ResultsError(f"Batch statistical request {self.request_id}: {err}") from err
        except ValueError as err:
            raise ResultsError(
                f"Batch statistical request {self.request_id}: {url} is not the JSON of a result ({err})."
            ) from None
        return feature_of(body, url)


def results_of_request(request: Mapping[str, Any], reader: BucketReader) -> StatisticalResults:
    """The results of this request, as the service shows it, read by this reader."""
    request_id, asked = str(request["id"]), request.get("request")
    url = place_of(asked)
    if not url:
        raise ResultsError(
            f"Batch statistical request {request_id} names no place for its results, so they cannot be read."
        )
    done = read_request(request).status.is_successful
    return StatisticalResults(request_id, url, reader, features_of(asked), done=done)


def feature_of(body: Any, url: str) -> StatisticalFeature:
    """The result in a file, in any of its forms. An unknown form counts as failed, never as good."""
    body = body if isinstance(body, dict) else {}
    number = body.get("id")
    identifier = str(body.get("identifier", number if number is not None else url.rpartition("/")[2]))
    response = body.get("response")
    if body.get("error") is not None:
        return StatisticalFeature(number, identifier, url, error=_kind(body["error"]))
    data = response.get("data") if isinstance(response, dict) else None
    if not isinstance(response, dict) or not isinstance(data, list) or response.get("status") == "FAILED":
        status = response.get("status") if isinstance(response, dict) else None
        return StatisticalFeature(number, identifier, url, error=str(status or "UNREADABLE"))
    items = tuple(item for item in data if isinstance(item, dict))
    errors = tuple(
        (str((item.get("interval") or {}).get("from")), _kind(item["error"]))
        for item in items
        if item.get("error") is not None
    )
    return StatisticalFeature(number, identifier, url, items, interval_errors=errors)


def _kind(error: Any) -> str:
    return str(error.get("type") or "UNKNOWN") if isinstance(error, dict) else str(error)


def _parsed(value: Any) -> Any:
    """The value, with a float for `"NaN"` and `"Infinity"`, which JSON cannot express."""
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return {name: _parsed(item) for name, item in value.items()} if isinstance(value, dict) else value


def _wanted(named: Mapping[str, str], expected: Mapping[int, str] | None, identifiers: set[str]) -> bool:
    """Whether a file is about a feature of the GeoPackage: a folder may hold those of other requests too."""
    if expected is None:
        return True
    if "id" in named:
        return int(named["id"]) in expected
    return named["identifier"] in identifiers


def _later(part: str) -> str:
    """The pattern of a part of the template: its text, or for a placeholder that is repeated the value of the first."""
    return f"(?P={part[1:-1].lower()})" if part in _PATTERNS else re.escape(part)


def _features(file: DatabaseFile) -> dict[int, str]:
    """Id -> identifier of the features of all tables."""
    found: dict[int, str] = {}
    with opened(file) as database:
        if not database.columns_of("gpkg_contents"):
            raise file.error("it is no GeoPackage.")
        database.require("gpkg_contents", {"table_name": TEXT, "data_type": TEXT})
        for (name,) in list(database.rows("SELECT table_name FROM gpkg_contents WHERE data_type = 'features'")):
            table = str(name)
            database.require(table, {"id": {"integer"}, "identifier": TEXT})
            for number, identifier in database.rows(f"SELECT id, identifier FROM {quoted(table)} ORDER BY id"):
                if found.setdefault(number, str(identifier)) != str(identifier):
                    raise file.error(f"two features have the id {number}.")
    return found
