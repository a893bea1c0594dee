"""The whole state of a simulated Sentinel Hub, kept in memory and, if wanted, on disk.

Everything runs in one thread, one call at a time: nothing here locks. What a call changes is written in one piece by
``commit``, before its reply is sent.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from airflow_sentinelhub.grids.tiling import TileSet, tiles_of

from . import faults, statistical_work
from .analysis import analyse, estimated_tiles
from .area import parse_area
from .bodies import tiling_of
from .clock import Clock
from .deliveries import Deliveries, Moment
from .delivery import Bucket
from .jobs import FINAL, Generation, Job, Step, job_from_json
from .journal import Journal
from .ledger import Ledger, generator, ledger
from .lifecycle import Terms, spent
from .limits import Limits
from .mishaps import mishaps
from .oauth import Client
from .settings import Settings
from .store import Change, Store
from .units import Units

Json = dict[str, Any]
# Tiles kept in memory for requests that were looked at lately.
_KEPT_TILES = 3_000_000


class World:
    """Requests, collections, faults, clock, settings and journal of one service."""

    def __init__(
        self,
        *,
        settings: Settings,
        speed: float,
        seed: int,
        bucket: Bucket,
        folder: Path | None = None,
        real: Callable[[], float] = time.time,
    ) -> None:
        self.first_settings, self.first_speed, self.seed, self.bucket, self.real = settings, speed, seed, bucket, real
        self.settings = settings
        # The real time of the call that is being answered: a call happens at one moment.
        self.moment = real()
        self.clock = Clock(self.moment, self.moment, speed)
        self.jobs: dict[str, Job] = {}
        self._ordered: dict[Generation, list[Job]] = {}
        self._places: dict[str, int] = {}
        # Requests that have an end and may still have files to write.
        self._ending: set[str] = set()
        self.collections: dict[str, Json] = {}
        self.faults: dict[str, faults.Fault] = {}
        self.journal = Journal()
        self.limits = Limits()
        # Numbers: tokens given out, tokens refused up to, requests, collections and faults made, resets.
        self.counters = {"tokens": 0, "revoked": 0, "requests": 0, "collections": 0, "faults": 0, "resets": 0}
        self._tiles: dict[str, TileSet] = {}
        self._ledgers: dict[str, tuple[int, Ledger]] = {}
        self._pending: list[Change] = []
        self._store = Store(folder)
        for change in self._store.load():
            self._apply(*change)
        self.client = Client(
            id=self.uuid("client"),
            secret=self.uuid("secret").replace("-", ""),
            user=self.uuid("user"),
            account=self.uuid("account"),
        )
        self._store.replace(self._snapshot())
        self.deliveries = Deliveries(bucket, folder, seed=self.seed, tiles=self.tiles, ledger=self.ledger)

    # Time

    def tick(self) -> None:
        """A call begins."""
        self.moment = self.real()

    @property
    def now(self) -> float:
        """Simulated seconds since 1970 at this call."""
        return self.clock.now(self.moment)

    def set_clock(self, clock: Clock) -> None:
        self.clock = clock
        self._changed("clock", "", clock.as_dict)
        self.deliveries.update_all(self._present())

    # Identity

    def uuid(self, *parts: Any) -> str:
        """The same for the same seed and parts, on every machine."""
        return str(uuid.UUID(bytes=generator(self.seed, *parts).bytes(16), version=4))

    def count(self, name: str) -> int:
        self.set_counter(name, self.counters[name] + 1)
        return self.counters[name]

    def set_counter(self, name: str, value: int) -> None:
        self.counters[name] = value
        self._changed("counters", name, lambda: value)

    # Tables

    def new_job(self, generation: Generation, body: Json) -> Job:
        """A request in CREATED, not yet kept: ``keep`` does that."""
        number, now = self.count("requests"), self.now
        return Job(
            id=self.uuid("request", self.counters["resets"], number),
            number=number,
            generation=generation,
            created=now,
            body=body,
            estimated_tiles=estimated_tiles(body, generation),
            plan=(Step(now, "CREATED"),),
        )

    def keep(self, job: Job) -> None:
        self._hold(job)
        self._changed("jobs", job.id, job.to_json)

    def _hold(self, job: Job) -> None:
        ordered = self._ordered.setdefault(job.generation, [])
        place = self._places.setdefault(job.id, len(ordered))
        ordered[place : place + 1] = [job]
        self.jobs[job.id] = job
        if any(step.status in FINAL for step in job.plan):
            self._ending.add(job.id)
        else:
            self._ending.discard(job.id)

    def in_order(self, generation: Generation) -> Sequence[Job]:
        """All requests of a generation in the order of their creation."""
        return self._ordered.get(generation, ())

    def keep_collection(self, number: str, collection: Json | None) -> None:
        """None removes it."""
        self._apply("collections", number, collection)
        self._changed("collections", number, lambda: collection)

    def keep_fault(self, fault: faults.Fault) -> None:
        self.faults[fault.id] = fault
        self._changed("faults", fault.id, fault.as_dict)

    def clear_faults(self) -> None:
        for number in list(self.faults):
            del self.faults[number]
            self._changed("faults", number, lambda: None)

    def change_settings(self, changes: Json) -> None:
        self.settings = self.settings.updated(changes)
        self._changed("settings", "", self.settings.as_dict)
        self.deliveries.update_all(self._present())

    def record(self, entry: Json) -> None:
        entry = {"n": self.journal.next_number(), **entry}
        self.journal.add(entry)
        self._changed("journal", "", lambda: entry)
        # Whoever reads a request finds its files as they are by now; whoever lists, those of finished ones.
        if entry["request_id"] in self.jobs:
            self.deliveries.update(self.jobs[entry["request_id"]], self._present())
        else:
            finished = self.deliveries.update_finished([self.jobs[number] for number in self._ending], self._present())
            self._ending -= finished

    def reset(self) -> None:
        """An empty service with the settings and the speed it was started with. Time and tokens go on."""
        resets = self.count("resets")
        self.jobs.clear()
        self._ordered.clear()
        self._places.clear()
        self._ending.clear()
        self.collections.clear()
        self.faults.clear()
        self.journal.clear()
        self.limits.clear()
        self._tiles.clear()
        self._ledgers.clear()
        self.counters.update(requests=0, collections=0, faults=0, resets=resets)
        self.settings = self.first_settings
        self.clock = self.clock.at_speed(self.first_speed, self.moment)
        self._pending.clear()
        self.deliveries.reset()
        self._store.replace(self._snapshot())

    # Disk

    def _changed(self, table: str, key: str, value: Callable[[], Any]) -> None:
        """Something is to be written when the call ends; a world without a folder writes nothing."""
        if self._store.keeps:
            self._pending.append((table, key, value()))

    def commit(self) -> None:
        """What this call changed is on disk when this returns."""
        changes, self._pending = self._pending, []
        self._store.append(changes)
        if self._store.is_long:
            self._store.replace(self._snapshot())

    def close(self) -> None:
        self.commit()
        self.deliveries.close()
        self._store.close()

    def _snapshot(self) -> Iterable[Change]:
        yield "seed", "", self.seed
        yield "clock", "", self.clock.as_dict()
        yield "settings", "", self.settings.as_dict()
        for name, value in self.counters.items():
            yield "counters", name, value
        for number, job in self.jobs.items():
            yield "jobs", number, job.to_json()
        for number, collection in self.collections.items():
            yield "collections", number, collection
        for number, fault in self.faults.items():
            yield "faults", number, fault.as_dict()
        for entry in self.journal.since(0):
            yield "journal", "", entry

    def _apply(self, table: str, key: str, value: Any) -> None:
        if table == "seed":
            self.seed = value
        elif table == "clock":
            self.clock = Clock(**value)
        elif table == "settings":
            self.settings = Settings(**value)
        elif table == "counters":
            self.counters[key] = value
        elif table == "journal":
            self.journal.add(value)
        elif table == "jobs":
            self._hold(job_from_json(value))
        else:
            rows: dict[str, Any] = self.collections if table == "collections" else self.faults
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = faults.Fault(**value) if table == "faults" else value

    # What follows from the state

    def _present(self) -> Moment:
        return Moment(self.now, self.settings, self.jobs)

    def tiles(self, job: Job) -> TileSet | None:
        """The tiles of a request over a tiling grid; None for one over a GeoPackage."""
        wanted = tiling_of(job.body, job.generation)
        if wanted is None:
            return None
        grid, bounds = wanted
        key = json.dumps([grid.id, bounds], sort_keys=True)
        if key not in self._tiles:
            _make_room(self._tiles, len)
            self._tiles[key] = tiles_of(parse_area(bounds), grid)
        return self._tiles[key]

    def units(self, job: Job) -> Units | None:
        """What the request works through: tiles, or the features of its GeoPackage."""
        return self.deliveries.units(job)

    def ledger(self, job: Job) -> Ledger:
        kept = self._ledgers.get(job.id)
        if kept is None or kept[0] != job.version:
            _make_room(self._ledgers, lambda item: item[1].size * (1 + len(item[1].times)))
            kept = self._ledgers[job.id] = (job.version, ledger(job, self.seed))
        return kept[1]

    def terms(self, job: Job, hits: dict[str, faults.Fault]) -> Terms:
        """What decides about an action on the job, with the faults that hit the call."""
        others = sum(other.planned_pu for other in self.jobs.values() if other.id != job.id)
        rates = self.settings.rates
        terms = Terms(
            now=self.now,
            settings=self.settings,
            seed=self.seed,
            pu_left=self.settings.balance - others - job.planned_pu,
            analyse=lambda: analyse(
                job,
                self.units(job),
                self.deliveries.outputs(job, self._present()),
                _forced_error(hits),
                rates,
                self.settings.place,
            ),
            mishaps=lambda size, chosen: mishaps(
                job, size, chosen, hits, self.settings, self.seed, lambda: self.units(job)
            ),
        )
        if job.generation != "statistical":
            return terms
        script = statistical_work.script_of(job.body, self.bucket.get)
        return statistical_work.terms(job, terms, script, self.deliveries.features, _forced_error(hits))

    @property
    def pu_left(self) -> float:
        return self.settings.balance - sum(job.planned_pu for job in self.jobs.values())

    def there_at(self, url: str) -> str | None:
        """What lies in the folder of a zarr output already."""
        return self.deliveries.there_at(url, self._present())

    @property
    def pu_used(self) -> float:
        """What all requests have really been charged by now."""
        return sum(spent(job, self.ledger(job), self.now, self.settings) for job in self.jobs.values() if job.runs)


def _make_room(kept: dict[str, Any], size: Callable[[Any], int]) -> None:
    """Forgets what was made first while there is more than fits."""
    while kept and sum(size(item) for item in kept.values()) > _KEPT_TILES:
        del kept[next(iter(kept))]


def _forced_error(hits: dict[str, faults.Fault]) -> str | None:
    fault = hits.get("fail_analysis")
    return None if fault is None else str(fault.options["error"])
