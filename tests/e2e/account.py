"""Somebody else who works with the account of the simulator, by plain HTTP: requests that end, images that appear."""

from __future__ import annotations

from types import SimpleNamespace

from dev.simulator import Simulator
from tests.simulator.conftest import Api

HOUR = 3600


class Account:
    """Acts in no time: what a job or a satellite takes hours for is done by a step of the simulator's clock."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.api = Api(SimpleNamespace(**simulator.ready))  # type: ignore[arg-type]

    def pass_by(self, hours: float) -> None:
        """Let time pass at the service."""
        self.simulator.control("POST", "clock", {"step": hours * HOUR})

    def ended(self, description: str) -> str:
        """The id of a request that has been created, started, and has run to its end."""
        path = self.api.create("v2", description=description)
        assert self.api.post(f"{path}/start").status_code in (200, 204)
        for _ in range(48):
            self.pass_by(0.5)
            if self.api.get(path).json()["status"] == "DONE":
                return path.rpartition("/")[2]
        raise AssertionError(self.api.get(path).text)

    def ended_at_once(self, *descriptions: str) -> list[str]:
        """The ids of requests that have ended in one step of the clock, so that nobody sees one of them end before."""
        paths = [self.api.create("v2", description=description) for description in descriptions]
        for path in paths:
            assert self.api.post(f"{path}/start").status_code in (200, 204)
        self.pass_by(24)
        assert {self.api.get(path).json()["status"] for path in paths} == {"DONE"}
        return [path.rpartition("/")[2] for path in paths]

    def images(self, box: list[float], cloud_cover: float | None = None) -> set[str]:
        """The ids of the images of Sentinel-2 of a place that are published by now."""
        found: set[str] = set()
        body = {"collections": ["sentinel-2-l2a"], "bbox": box, "datetime": "2026-01-01T00:00:00Z/..", "limit": 100}
        if cloud_cover is not None:
            body |= {"filter": f"eo:cloud_cover <= {cloud_cover:g}", "filter-lang": "cql2-text"}
        while True:
            page = self.api.post("/catalog/v1/search", json=body).json()
            found |= {item["id"] for item in page["features"]}
            if "next" not in page["context"]:
                return found
            body["next"] = page["context"]["next"]

    def published(self, box: list[float], cloud_cover: float | None = None) -> set[str]:
        """Let time pass until there are new images; their ids."""
        before = self.images(box, cloud_cover)
        for _ in range(400):
            self.pass_by(3)
            if new := self.images(box, cloud_cover) - before:
                return new
        raise AssertionError("no new image in fifty days")
