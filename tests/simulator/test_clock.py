from __future__ import annotations

import pytest

from airflow_sentinelhub.simulator.clock import Clock, iso_microseconds, iso_milliseconds


def test_a_scaled_clock_passes_many_seconds_in_one() -> None:
    clock = Clock(simulated=1_000_000.0, real=50.0, speed=600)
    assert clock.now(50.0) == 1_000_000.0
    assert clock.now(52.5) == 1_001_500.0


def test_changing_the_speed_keeps_the_time() -> None:
    frozen = Clock(1_000_000.0, 50.0, 600).at_speed(0, real=51.0)
    assert frozen.now(51.0) == frozen.now(9_999.0) == 1_000_600.0
    assert frozen.at_speed(2, real=9_999.0).now(10_000.0) == 1_000_602.0


def test_a_step_jumps_and_keeps_the_speed() -> None:
    clock = Clock(1_000_000.0, 50.0, 1).stepped(3600, real=60.0)
    assert clock.now(60.0) == 1_003_610.0
    assert clock.now(61.0) == 1_003_611.0


def test_a_wall_clock_set_back_never_turns_the_simulated_one_back() -> None:
    assert Clock(1_000_000.0, 50.0, 1).now(real=20.0) == 1_000_000.0


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "fast", True])
def test_nonsense_is_refused(bad: object) -> None:
    clock = Clock(0.0, 0.0, 1)
    with pytest.raises(ValueError, match="clock"):
        clock.at_speed(bad, 0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="clock"):
        clock.stepped(bad, 0.0)  # type: ignore[arg-type]


def test_times_are_written_as_each_generation_writes_them() -> None:
    assert iso_milliseconds(1608589718.824) == "2020-12-21T22:28:38.824Z"
    assert iso_microseconds(1755181846.716642) == "2025-08-14T14:30:46.716642Z"
    assert iso_milliseconds(0.0) == "1970-01-01T00:00:00.000Z"
