"""Read the results of a v2 request from the files in its bucket: one object for operators, sensors and triggers.

All methods block; the triggerer calls them in a thread. Each file is fetched once, when it is first needed, and is
removed with the object: create a new object to read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from airflow_sentinelhub.api.arguments import check_word
from airflow_sentinelhub.api.decide.due import Due
from airflow_sentinelhub.api.statuses import TILE_STATUSES
from airflow_sentinelhub.exceptions import ResultsError, SentinelHubError
from airflow_sentinelhub.results import execution, manifest
from airflow_sentinelhub.results._sqlite import DatabaseFile
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.execution import FeatureState
from airflow_sentinelhub.results.folders import TemporaryFolder
from airflow_sentinelhub.results.manifest import ManifestFeature
from airflow_sentinelhub.results.root import execution_url, manifest_url


@dataclass(frozen=True)
class Feature:
    """A tile, or a feature of the user's GeoPackage.

    :param paths: URL of each output by its id; empty where the manifest does not know the feature.
    :param status: in the service's words (PENDING, DONE, FATAL).
    :param tile_status: in v1's words for tiles.
    """

    name: str
    status: str
    tile_status: str
    paths: dict[str, str] = field(default_factory=dict)
    no_data: bool = False
    delivered: bool = False
    error: str | None = None

    def as_tile(self) -> dict[str, Any]:
        """A small item for XCom, with the members that v1's tiles have: `name`, `status`, `paths`.

        `no_data` (then there are no paths) and `error` are left out if they are not set.
        """
        item: dict[str, Any] = {
            "name": self.name,
            "status": self.tile_status,
            "paths": {} if self.no_data else self.paths,
        }
        if self.no_data:
            item["no_data"] = True
        elif self.error:
            item["error"] = self.error
        return item


class BatchResults:
    """The results of one request.

    :param request_id: the request.
    :param url: its delivery URL, as it was given (`s3://bucket/path`, with or without placeholders).
    :param reader: reads the bucket.
    :param nothing_to_do: analysis ended in DONE because every output existed: there is no execution database, and all
        features are done.
    :param due: which files must exist. A file that is due but missing or incomplete is an error, never an empty result.
    """

    def __init__(
        self,
        request_id: str,
        url: str,
        reader: BucketReader,
        *,
        nothing_to_do: bool = False,
        due: Due = Due.NOTHING,
    ) -> None:
        self.request_id = request_id
        self.url = url
        self.nothing_to_do = nothing_to_do
        self.due = due
        self._whole = False
        self._reader = reader
        self._copies: TemporaryFolder | None = None
        self._folder: Path | None = None
        self._files: dict[str, DatabaseFile | None] = {}
        self._checked: bool | None = None
        self._reason: str | None = None

    def __enter__(self) -> BatchResults:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the copies, after which nothing can be read. Happens by itself when the object is collected."""
        if self._copies is not None:
            self._copies.remove()

    @property
    def checked(self) -> bool:
        """Whether the status of each feature could be read; if not, `reason` says why. Never raises."""
        if self._checked is None:
            try:
                self._check()
                self._checked = True
            except SentinelHubError as err:
                self._checked, self._reason = False, str(err)
        return self._checked

    @property
    def reason(self) -> str | None:
        """Why the results could not be checked, in one sentence; None if they could."""
        return None if self.checked else self._reason

    def counts(self) -> dict[str, int]:
        """How many tiles there are by status, in v1's words (PENDING, PROCESSING, PROCESSED, FAILED).

        Before the first upload of the execution database all are PENDING; before analysis there are none.

        :raises ResultsError: the files cannot be read, or not yet.
        """
        database = self._states()
        if database is not None:
            return execution.count_tiles(database)
        total = self.total()
        return {self._untold().tile_status: total} if total else {}

    def tile_status(self, name: str) -> str | None:
        """The status of one tile, in v1's words, by one look-up by its name; None if there is no such tile (yet).

        The manifest is fetched only if the execution database does not contain the tile.

        :raises ResultsError: the files cannot be read, or not yet.
        """
        database = self._states()
        state = None if database is None else execution.state_of(database, name)
        if state is not None:
            return state.tile_status
        listed = self._manifest()
        if listed is None:
            if database is None:
                self._require_manifest()
            return None
        return self._untold().tile_status if manifest.has_feature(listed, name) else None

    def total(self) -> int:
        """How many tiles there are: 0 before analysis."""
        file = self._manifest()
        if file is not None:
            return manifest.count_features(file)
        database = self._states()
        if database is not None:
            return sum(execution.count_states(database).values())
        self._require_manifest()
        return 0

    def pixel_sizes(self) -> list[tuple[int, int, int]]:
        """How many features there are of each size: width and height in pixels, and the number; by the manifest.

        :raises ResultsError: it cannot be read, or is not there.
        """
        file = self._manifest()
        if file is None:
            raise ResultsError(
                f"Batch request {self.request_id}: there is no feature manifest at "
                f"{manifest_url(self.url, self.request_id)}."
            )
        return manifest.pixel_sizes(file)

    def failed(self, limit: int | None = None) -> list[str]:
        """Names of the features that failed for good, in order, at most so many.

        :raises ResultsError: the execution database cannot be read, or not yet.
        """
        database = self._states()
        return [] if database is None else execution.failed_names(database, limit)

    def unfinished(self, limit: int | None = None) -> list[tuple[str, str]]:
        """Names and statuses (v1's words) of the features that are not at their end, in order, at most so many.

        :raises ResultsError: the execution database cannot be read, or not yet.
        """
        database = self._states()
        return [] if database is None else execution.unfinished(database, limit)

    def features(self, *, with_paths: bool = False) -> Iterator[Feature]:
        """All features, ordered by name, one at a time, however many there are.

        :param with_paths: the manifest has to be there, which alone knows paths.
        :raises ResultsError: the files cannot be read, or not yet.
        """
        states, listed = self._states(), self._manifest()
        if listed is None and (with_paths or states is None):
            self._require_manifest()
        yield from self._joined(
            iter(()) if listed is None else manifest.read_manifest(listed),
            iter(()) if states is None else execution.read_states(states),
        )

    def tiles(self, status: str | None = None, *, with_paths: bool = False) -> Iterator[dict[str, Any]]:
        """Tiles as small items, see `Feature.as_tile`.

        :param status: list only tiles in this status (v1's words); None lists all.
        :raises InvalidInputError: there is no such status.
        """
        check_word("status", status, (*TILE_STATUSES, None))
        return self._tiles(status, with_paths=with_paths)

    def _tiles(self, status: str | None, *, with_paths: bool) -> Iterator[dict[str, Any]]:
        for feature in self.features(with_paths=with_paths):
            if status is None or feature.tile_status == status:
                yield feature.as_tile()

    def outlines(self) -> dict[str, tuple[int, list[list[tuple[float, float]]]]]:
        """EPSG code and outer rings of each feature by its name; empty before analysis.

        :raises ResultsError: the manifest cannot be read, or not yet.
        """
        listed = self._manifest()
        if listed is None:
            self._require_manifest()
            return {}
        return {name: (crs, rings) for name, crs, rings in manifest.read_outlines(listed)}

    def _check(self) -> None:
        database = self._states()
        if database is not None:
            execution.count_states(database)
        elif not self.nothing_to_do:
            raise self._no_database()

    def _states(self) -> DatabaseFile | None:
        """The execution database, None before its first upload.

        :raises ResultsError: it is due and not there, or has to be whole and is behind the request.
        """
        database = self._execution()
        if database is None:
            if self.due >= Due.EXECUTION:
                raise self._no_database()
        elif self.due is Due.WHOLE and not self._whole:
            counts = execution.count_tiles(database)
            left = sum(counts.values()) - sum(counts.get(word, 0) for word in execution.ENDS)
            if left or not counts:
                named = ", ".join(f"{name} is {word}" for name, word in execution.unfinished(database, 3))
                unfinished_features = f"{left} of {sum(counts.values())} features are not at their end ({named})"
                raise database.error(
                    f"it is behind the request, which is done: {unfinished_features if left else 'it has none'}."
                )
            self._whole = True
        return database

    def _no_database(self) -> ResultsError:
        return ResultsError(
            f"Batch request {self.request_id}: there is no execution database at "
            f"{execution_url(self.url, self.request_id)}, so that failed features cannot be told from good ones."
        )

    def _require_manifest(self) -> None:
        if self.due >= Due.MANIFEST:
            raise ResultsError(
                f"Batch request {self.request_id}: there is no feature manifest at "
                f"{manifest_url(self.url, self.request_id)}, which every analysed request has."
            )

    def _untold(self) -> FeatureState:
        """The state of features that the execution database does not contain."""
        done = self.nothing_to_do
        return FeatureState("", "DONE" if done else "PENDING", delivered=done)

    def _joined(self, listed: Iterator[ManifestFeature], states: Iterator[FeatureState]) -> Iterator[Feature]:
        """Join both files by name. Each may have names that the other lacks."""
        feature, state = self._next(listed, None), self._next(states, None)
        while feature is not None or state is not None:
            if state is None or (feature is not None and feature.name < state.name):
                assert feature is not None
                yield _feature(feature.name, feature.paths, self._untold())
                feature = self._next(listed, feature)
            else:
                same = feature is not None and feature.name == state.name
                yield _feature(state.name, feature.paths if feature is not None and same else {}, state)
                if same:
                    feature = self._next(listed, feature)
                state = self._next(states, state)

    def _next(self, items: Iterator[Any], last: Any) -> Any:
        """The next item, None at the end.

        :raises ResultsError: a name comes twice, or out of order: then they could not be joined.
        """
        item = next(items, None)
        if item is not None and last is not None and not last.name < item.name:
            raise ResultsError(
                f"Batch request {self.request_id}: its results in the bucket cannot be read: the feature "
                f"{item.name!r} is listed twice, or names are not in order."
            )
        return item

    def _execution(self) -> DatabaseFile | None:
        """The execution database, None before its first upload."""
        return self._file(execution_url(self.url, self.request_id), execution.source)

    def _manifest(self) -> DatabaseFile | None:
        """The manifest, None before analysis has ended."""
        return self._file(manifest_url(self.url, self.request_id), manifest.source)

    def _file(self, url: str, source: Any) -> DatabaseFile | None:
        if url not in self._files:
            if self._folder is None:
                self._copies = TemporaryFolder()
                self._folder = self._copies.path
            try:
                path = self._reader.fetch(url, self._folder)
            except ResultsError as err:
                raise ResultsError(f"Batch request {self.request_id}: {err}") from err
            self._files[url] = None if path is None else source(path, self.request_id, url)
        return self._files[url]


def _feature(name: str, paths: dict[str, str], state: FeatureState) -> Feature:
    return Feature(name, state.status, state.tile_status, paths, state.no_data, state.delivered, state.error)
