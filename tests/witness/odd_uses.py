"""Patterns of odd uses that hold for all generations, see `patterns.py`: of iterators, models, enumerations and ids."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from tests.witness.patterns import Pattern, World, outcome

NO_IDS: tuple[Any, ...] = ({}, {"data": []}, {"identity": "a"})
UTC = timezone.utc
TIMES = (
    "2024-01-02T03:04:05Z",
    "2024-01-02T03:04:05.678+02:00",
    "20240102T030405Z",
    "2024-01-02T03:04:05.123456789Z",
    "",
    None,
)


def of_models(kind: str, done: Pattern) -> dict[str, Pattern]:
    """Patterns of the class of this name. `done` gives a request that is DONE."""
    found: dict[str, Pattern] = {}

    def odd(name: str) -> Callable[[Pattern], Pattern]:
        return lambda function: found.setdefault(f"{kind}{name}", function)

    def read(w: World, **members: Any) -> Any:
        return type(done(w)).from_dict({**done(w).to_dict(), **members})

    @odd(": copies, pickles and what dataclasses offers")
    def _(w: World) -> Any:
        one = done(w)
        names = [field.name for field in dataclasses.fields(one)]
        copies = (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one)), dataclasses.replace(one))
        changed = dataclasses.replace(one, error="mine")
        return [
            names,
            [twin == one and twin is not one for twin in copies],
            [changed.error, changed == one],
            [sorted(dataclasses.asdict(one)), len(dataclasses.astuple(one)), list(one.to_dict())],
        ]

    @odd(": compared, sorted, hashed")
    def _(w: World) -> Any:
        one = done(w)
        same = [one == one.request_id, one == one.to_dict(), one == None, one != None]  # noqa: E711
        wrong: tuple[Any, ...] = (hash, sorted, len, dict, list)
        refused = [outcome(lambda use=use: use([one, one] if use is sorted else one)) for use in wrong]
        return [same, refused, len(sorted([one, one], key=lambda request: request.created)), bool(one)]

    @odd(": what its repr shows")
    def _(w: World) -> Any:
        one = dataclasses.replace(done(w), error="mine")
        shown = [name for name in vars(one) if f"{name}=" in repr(one)]
        return [sorted(shown), repr(one).startswith(f"{kind}("), str(one) == repr(one)]

    @odd(".from_dict without an id or a status")
    def _(w: World) -> Any:
        body = done(w).to_dict()
        less = [{key: value for key, value in body.items() if key != name} for name in ("id", "status")]
        make = type(done(w)).from_dict
        return ["KeyError" in outcome(lambda one=one: make(one))["raises"] for one in ({}, *less)]

    @odd(".from_dict of what is no object")
    def _(w: World) -> Any:
        return [outcome(lambda one=one: type(done(w)).from_dict(one)) for one in (None, [], "a")]

    @odd(".from_json of what is no JSON")
    def _(w: World) -> Any:
        return outcome(lambda: type(done(w)).from_json("{nonsense"))

    @odd(".to_json and its arguments")
    def _(w: World) -> Any:
        one = done(w)
        return [one.to_json(indent=2).count("\n") > 5, list(json.loads(one.to_json(sort_keys=True)))]

    @odd(".schema for many, of some members")
    def _(w: World) -> Any:
        schema = type(done(w)).schema
        return [len(schema(many=True).dump([done(w)] * 2)), schema(only=("status",)).dump(done(w))["status"]]

    @odd(": times as texts")
    def _(w: World) -> Any:
        return [[str(read(w, created=text).created), read(w, created=text).to_dict()["created"]] for text in TIMES]

    @odd(": times without a zone")
    def _(w: World) -> Any:
        return [str(read(w, created=text).created) for text in ("2024-01-02T03:04:05", "2024-01-02")]

    @odd(": times that are none")
    def _(w: World) -> Any:
        return [outcome(lambda text=text: str(read(w, created=text).created)) for text in ("soon", 7)]

    @odd(": times that are set")
    def _(w: World) -> Any:
        times = [datetime(2024, 1, 2, 3, 4, 5, part, zone) for part, zone in ((0, None), (0, UTC), (678000, UTC))]
        return [dataclasses.replace(done(w), created=time).to_dict()["created"] for time in times]

    @odd(": actions and errors that are empty")
    def _(w: World) -> Any:
        actions = [
            [one.user_action, "userAction" in one.to_dict()] for one in (read(w, userAction=a) for a in ("", None))
        ]
        return [actions, [read(w, error=error).error for error in ("boom", "", None)]]

    @odd(": members that nobody knows")
    def _(w: World) -> Any:
        one = read(w, more={"a": [1, None]})
        return [
            one.other_data["more"],
            one.to_dict()["more"],
            outcome(lambda: done(w).more),
            outcome(lambda: done(w)["id"]),
        ]

    @odd(".raise_for_status of all sorts of iterables")
    def _(w: World) -> Any:
        broken, known = read(w, status="FAILED", error="boom"), w.names.BatchRequestStatus
        wanted: tuple[Callable[[], Any], ...] = (
            lambda: (one for one in ("DONE", "FAILED")),
            lambda: {known.FAILED},
            lambda: {known.FAILED: 1},
            lambda: known,
            lambda: (known.DONE,),
            lambda: None,
            lambda: 7,
            lambda: [7],
            lambda: [None],
            lambda: "failed",
            lambda: " FAILED ",
        )
        return [outcome(lambda make=make: broken.raise_for_status(status=make())) for make in wanted]

    @odd(".raise_for_status: its text")
    def _(w: World) -> Any:
        try:
            read(w, status="FAILED", error="boom").raise_for_status()
        except RuntimeError as error:
            return [part in str(error) for part in (done(w).request_id, "FAILED", "boom")]
        return None

    @odd(".status: as a key, copied, pickled, by name")
    def _(w: World) -> Any:
        known = w.names.BatchRequestStatus
        one = known.DONE
        same = [copy.deepcopy(one) is one, pickle.loads(pickle.dumps(one)) is one, known["DONE"] is one, one in known]
        return [same, {one: 1}[done(w).status], outcome(lambda: known["NO"]), outcome(lambda: known(None))]

    return found


def of_lists(name: str, make: Callable[[World], Any]) -> dict[str, Pattern]:
    """Patterns of the iterator that the method of this name returns; it has more than one page."""
    found: dict[str, Pattern] = {}

    def odd(what: str) -> Callable[[Pattern], Pattern]:
        return lambda function: found.setdefault(f"{name}{what}", function)

    @odd(": uses of an iterator")
    def _(w: World) -> Any:
        first, *others = make(w)
        pairs = zip(*[make(w)] * 2)  # noqa: B905
        uses = [sum(1 for _ in make(w)), [place for place, _ in enumerate(make(w), 1)][-1], len(list(pairs))]
        found = [len(list(islice(make(w), 2))), len(set(map(str, make(w)))), first in make(w), len(others)]
        return [uses, found, isinstance(make(w), Iterator), bool(make(w))]

    @odd(": what no iterator can")
    def _(w: World) -> Any:
        wrong: tuple[Any, ...] = (len, reversed, lambda it: it.close())
        return [outcome(lambda use=use: use(make(w))) for use in wrong]

    @odd(": at its end")
    def _(w: World) -> Any:
        items = make(w)
        states = [[items.index, items.finished, len(items.features)]]
        number = len(list(items))
        states.append([items.index == number, items.finished])
        return [states, next(items, "none"), outcome(lambda: next(items)), next(iter(items)) == items.features[0]]

    @odd(": index is set")
    def _(w: World) -> Any:
        items = make(w)
        number = len(list(items))
        places = []
        for place in (1, 0, number - 1, number // 2):
            items.index = place
            places.append(str(next(items)))
        return [places == [str(items.features[place]) for place in (1, 0, number - 1, number // 2)], items.index]

    @odd(": a copy of it")
    def _(w: World) -> Any:
        items = make(w)
        number = len(list(items))
        return [len(list(twin(items))) == number for twin in (copy.copy, copy.deepcopy)] + [len(list(items)) == number]

    @odd(": a copy of a part")
    def _(w: World) -> Any:
        items = make(w)
        next(items)
        twin = copy.copy(items)
        return [next(twin) == next(items), len(list(twin)) == len(list(make(w))) == len(list(items))]

    @odd(": by position")
    def _(w: World) -> Any:
        return outcome(lambda: make(w)[0] == next(make(w)))

    @odd(".client, url, params, next")
    def _(w: World) -> Any:
        return [hasattr(make(w), name) for name in ("client", "url", "params", "next")]

    return found


def of_ids(client: str, methods: tuple[str, ...]) -> dict[str, Pattern]:
    """Patterns of what methods make of things without an id."""

    def no_id(w: World) -> Any:
        call = {name: getattr(w.client, name) for name in methods}
        told = [outcome(lambda one=one, name=name: call[name](one)) for name in methods for one in NO_IDS]
        return ["KeyError" in one.get("raises", ()) for one in told]

    def nothing(w: World) -> Any:
        call = {name: getattr(w.client, name) for name in methods}
        wrong = (7, None, [], b"x")
        told = [outcome(lambda one=one, name=name: call[name](one)) for name in methods for one in wrong]
        return [told, [outcome(call[name]) for name in methods]]

    def empty(w: World) -> Any:
        return [outcome(lambda name=name: getattr(w.client, name)("")) for name in methods]

    return {
        f"{client}: a payload without an id": no_id,
        f"{client}: what is no request": nothing,
        f"{client}: an empty id": empty,
    }
