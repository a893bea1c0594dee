"""What the service leaves in the bucket besides the request itself, and when.

Nothing runs in the background: whoever reads a request, or moves the clock, finds its files as they are by then. What
was written is kept (in the state folder, if there is one), so that a file is written once and one that somebody removed
stays away.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_sentinelhub.grids.tiling import TileSet

from . import statistical_work
from .area import parse_area
from .bodies import Json, raster_url, responses_of, storage_url, zarr_url
from .delivery import Bucket, bad_outputs
from .execution import execution_database, last_upload, other_schema
from .faults import share_of
from .features import FeaturesError, read_features
from .images import images
from .jobs import FINAL, Generation, Job
from .ledger import PROCESSED, Codes, Ledger
from .manifest import feature_manifest
from .paths import file_url, fixed_part, output_urls
from .settings import Settings
from .store import Store
from .units import Features, Units

_log = logging.getLogger(__name__)
# The files that the service leaves about a request.
_ABOUT = re.compile(r"(?:request|featureManifest|execution)-[0-9a-f-]{36}\.(?:json|gpkg|sqlite)")


@dataclass(frozen=True)
class Written:
    """What of a request lies in the bucket.

    ``execution``: the moment the uploaded database is true for; ``form``: how it was uploaded (whole, truncated, other
    schema); ``images``: outputs of what was processed up to this moment are written.
    """

    manifest: bool = False
    execution: float | None = None
    form: str = ""
    images: float | None = None


@dataclass(frozen=True)
class Moment:
    """The service as a call finds it: the simulated time, the settings, and all requests by id."""

    now: float
    settings: Settings
    jobs: Mapping[str, Job]


class Deliveries:
    """The files of all requests of a service.

    ``tiles``: those of a request over a tiling grid, None for one over a GeoPackage; ``ledger``: what became of its
    units, and when.
    """

    def __init__(
        self,
        bucket: Bucket,
        folder: Path | None,
        *,
        seed: int,
        tiles: Callable[[Job], TileSet | None],
        ledger: Callable[[Job], Ledger],
    ) -> None:
        self._bucket, self._seed, self._tiles, self._ledger = bucket, seed, tiles, ledger
        self._folder = None if folder is None else folder / "deliveries"
        self._store = Store(self._folder)
        self._written = {number: Written(**written) for _, number, written in self._store.load()}
        self._features: dict[str, Features] = {}
        self._compact()

    # Features of a GeoPackage

    def geopackage(self, body: Json, generation: Generation) -> bytes:
        """The file a task names; FeaturesError in one sentence when it cannot be used."""
        url = storage_url(body["input"]["features"])
        try:
            content = self._bucket.get(url)
        except (OSError, ValueError) as problem:
            raise FeaturesError(f"The GeoPackage {url} cannot be read: {problem}") from None
        if content is None:
            raise FeaturesError(f"The GeoPackage {url} does not exist.")
        _features_of(body, generation, content)
        return content

    def keep_geopackage(self, job: Job, content: bytes) -> None:
        """The task works with the features it was created with, whatever becomes of the file."""
        self._features[job.id] = _features_of(job.body, job.generation, content)
        if self._folder is not None:
            self._copy(self._folder, job).write_bytes(content)

    def features(self, job: Job) -> Features | None:
        """The features of a task over a GeoPackage; None for another one."""
        if job.id not in self._features and self._folder is not None and self._copy(self._folder, job).exists():
            self._features[job.id] = _features_of(job.body, job.generation, self._copy(self._folder, job).read_bytes())
        return self._features.get(job.id)

    def units(self, job: Job) -> Units | None:
        """What the request works through: tiles, or the features of its GeoPackage."""
        tiles = self._tiles(job)
        return self.features(job) if tiles is None else tiles

    @staticmethod
    def _copy(folder: Path, job: Job) -> Path:
        return folder / f"features-{job.id}.gpkg"

    # Writing

    def update(self, job: Job, at: Moment) -> bool:
        """Writes everything of this request that is due by now; False when that failed."""
        now = at.now
        if not job.exists(now) or not job.is_analysed(now) or (job.analysis is not None and job.analysis.error):
            return True
        before = self._written.get(job.id, Written())
        try:
            after = self._write_images(job, self._write_execution(job, self._write_manifest(job, before, at), at), at)
            after = self._write_statistics(job, after, at)
        except (OSError, ValueError) as problem:
            # Tried again by the next reader; the service's answers do not depend on it.
            _log.warning("Request %s: its files cannot be written: %s", job.id, problem)
            return False
        if after != before:
            self._written[job.id] = after
            self._store.append([("written", job.id, asdict(after))])
        return True

    def update_all(self, at: Moment) -> None:
        """All requests."""
        for job in list(at.jobs.values()):
            self.update(job, at)

    def update_finished(self, jobs: Iterable[Job], at: Moment) -> set[str]:
        """Those of these requests that are at their end. Returns the ids of those with nothing more to write."""
        finished = set()
        for job in jobs:
            if job.status(at.now) in FINAL and self.update(job, at) and at.now >= self._end(job):
                finished.add(job.id)
        return finished

    def reset(self) -> None:
        """Nothing is known any more; the bucket keeps what it has."""
        self._written.clear()
        self._features.clear()
        for copy in self._folder.glob("features-*.gpkg") if self._folder is not None else ():
            copy.unlink()
        self._compact()

    def close(self) -> None:
        self._store.close()

    def _end(self, job: Job) -> float:
        return max((times.end for times in self._ledger(job).times), default=0.0)

    def _write_manifest(self, job: Job, done: Written, at: Moment) -> Written:
        if job.generation != "v2" or done.manifest or at.settings.manifest_missing:
            return done
        units = self.units(job)
        if units is None:
            return done
        self._bucket.put(file_url(job, f"featureManifest-{job.id}.gpkg"), feature_manifest(job, units))
        return replace(done, manifest=True)

    def _write_execution(self, job: Job, done: Written, at: Moment) -> Written:
        form = _form(at.settings)
        if job.generation != "v2" or not job.runs or not form:
            return done
        book = self._ledger(job)
        moment = last_upload(book, at.now, at.settings.execution_upload_period)
        units = self.units(job) if moment is not None and (moment, form) != (done.execution, done.form) else None
        if moment is None or units is None:
            return done
        if form == "other_schema":
            content = other_schema()
        else:
            content = execution_database(units, book.codes(moment), self._empty(job, at))
            content = content[: len(content) // 2] if form == "truncated" else content
        self._bucket.put(file_url(job, f"execution-{job.id}.sqlite"), content)
        return replace(done, execution=moment, form=form)

    def _write_images(self, job: Job, done: Written, at: Moment) -> Written:
        if not at.settings.write_images or not job.runs or job.generation == "statistical":
            return done
        book = self._ledger(job)
        fresh = self._delivered(job, book.codes(at.now), at)
        if done.images is not None:
            fresh &= book.codes(done.images) != PROCESSED
        units = self.units(job) if fresh.any() else None
        for url, content in images(job, units, np.flatnonzero(fresh).tolist()) if units is not None else ():
            self._bucket.put(url, content)
        return replace(done, images=at.now) if fresh.any() or done.images is None else done

    def _write_statistics(self, job: Job, done: Written, at: Moment) -> Written:
        """The files of features that were processed or have failed since the last time."""
        features = self.features(job) if job.generation == "statistical" and job.runs else None
        if features is None:
            return done
        book = self._ledger(job)
        codes = book.codes(at.now)
        fresh = codes >= PROCESSED
        if done.images is not None:
            fresh &= book.codes(done.images) < PROCESSED
        troubled = self._share(job, at.settings.failed_intervals_share, "intervals")
        oddities = statistical_work.Oddities(self._empty(job, at), troubled)
        script = statistical_work.script_of(job.body, self._bucket.get) or ""
        chosen = np.flatnonzero(fresh).tolist()
        files = statistical_work.results(job, features, codes, chosen, script, oddities, self._seed)
        for url, content in files:
            self._bucket.put(url, content)
        return replace(done, images=at.now) if chosen or done.images is None else done

    def _share(self, job: Job, share: float, what: str) -> set[int]:
        """So many of the request's units, the same ones whenever it is asked."""
        found = job.analysis
        if not share or found is None:
            return set()
        return set(share_of(share, list(range(found.tiles)), f"{self._seed}/{job.id}/{what}"))

    def _delivered(self, job: Job, codes: Codes, at: Moment) -> npt.NDArray[np.bool_]:
        """Of which units the request has put outputs into the bucket."""
        delivered: npt.NDArray[np.bool_] = codes == PROCESSED
        delivered[list(self._empty(job, at))] = False
        delivered[list(job.analysis.existing if job.analysis else ())] = False
        return delivered

    def _empty(self, job: Job, at: Moment) -> set[int]:
        """Units for which there is no data (v2, statistical)."""
        if job.generation == "v1" or job.analysis is None:
            return set()
        return self._share(job, at.settings.no_data_share, "empty") - set(job.analysis.existing)

    def _compact(self) -> None:
        self._store.replace(("written", number, asdict(written)) for number, written in self._written.items())

    # Reading

    def outputs(self, job: Job, at: Moment) -> Outputs:
        """Which outputs are there already when this request is analysed."""
        return Outputs(self, job, at)

    def delivered_beside(self, job: Job, at: Moment) -> set[str]:
        """Outputs that other requests have delivered to the same place without their images being written."""
        mine, found = fixed_part(job), set[str]()
        for other in at.jobs.values():
            theirs = fixed_part(other)
            if other.id == job.id or not other.runs or mine is None or theirs is None:
                continue
            if not (mine.startswith(theirs) or theirs.startswith(mine)):
                continue
            units = self.units(other)
            written = self._written.get(other.id, Written())
            if units is None or written.images is not None:
                continue
            if self.exists(file_url(other, f"request-{other.id}.json")):
                delivered = self._delivered(other, self._ledger(other).codes(at.now), at)
                for index in np.flatnonzero(delivered).tolist():
                    found.update(output_urls(other, units, index))
        return found

    def exists(self, url: str) -> bool:
        return self._bucket.exists(url)

    def there_at(self, url: str, at: Moment) -> str | None:
        """What lies in the folder of a zarr output already, apart from files about requests.

        Arrays are not really written: a request that has begun counts as long as its ``request-<id>.json`` is there.
        """
        for found in self._bucket.below(url):
            if not _ABOUT.fullmatch(found.rpartition("/")[2]):
                return found
        for job in at.jobs.values():
            here = zarr_url(job.body, job.generation) == url and job.runs and job.runs[0].begin <= at.now
            if here and self.exists(file_url(job, f"request-{job.id}.json")):
                return f"{url.rstrip('/')}/.zgroup"
        return None


class Outputs:
    """Asks whether an output exists: in the bucket, or delivered by another request.

    Images are written on demand only. A request that delivered without them counts as long as its
    ``request-<id>.json`` is in the bucket, so that clearing a bucket clears this too.
    """

    def __init__(self, deliveries: Deliveries, job: Job, at: Moment) -> None:
        self._deliveries, self._job, self._at = deliveries, job, at

    @cached_property
    def _beside(self) -> set[str]:
        return self._deliveries.delivered_beside(self._job, self._at)

    def exists(self, url: str) -> bool:
        return url in self._beside or self._deliveries.exists(url)


def _features_of(body: Json, generation: Generation, content: bytes) -> Features:
    if generation == "statistical":
        return statistical_work.features_of(body, content)
    bounds: Any = body["processRequest"]["input"].get("bounds")
    found = read_features(content, body["input"].get("defaults"), parse_area(bounds) if bounds else None)
    url = raster_url(body, generation)
    for number, name in enumerate(found.names if url is not None else (), start=1):
        if bad_outputs(str(url), responses_of(body), (number, name)):
            raise FeaturesError(f"The identifier {name} cannot be part of the path of an output.")
    return found


def _form(settings: Settings) -> str:
    """How the execution database is uploaded; empty: not at all."""
    if settings.execution_missing:
        return ""
    if settings.execution_other_schema:
        return "other_schema"
    return "truncated" if settings.execution_truncated else "whole"
