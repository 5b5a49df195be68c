"""The CPU benchmark's clock takes turns, whatever the calls do; what it knows about the machine."""

import contextlib

import pytest
from bench_modules import imported


@pytest.fixture(scope="module")
def bench():
    with imported("cpu", ("call", "clock", "machine")) as modules:
        yield modules


def test_turns_are_fair_and_sets_go_round(bench, monkeypatch):
    """A clock of its own: `quick` takes 1 ms, `slow` 20 ms; three rounds at least."""
    clock, log = [0.0], []

    def call(name, number, lasting):
        def run():
            clock[0] += lasting
            log.append((name, number))

        return bench.call.Call(run, None)

    monkeypatch.setattr(bench.clock.time, "perf_counter", lambda: clock[0])
    calls = {
        "quick": [call("quick", number, 1e-3) for number in range(2)],
        "slow": [call("slow", 0, 20e-3)],
    }
    times = bench.clock.take_turns(calls, 0.0)
    assert {name: len(found) for name, found in times.items()} == {"quick": 24, "slow": 3}
    assert times["quick"] == pytest.approx([1e-3] * 24)
    # Warm-up, then in each round one call that is not timed where that is worth it.
    numbers = [number for name, number in log if name == "quick"]
    assert numbers == [index % 2 for index in range(3 + 3 * 9)]
    assert [name for name, _ in log].count("slow") == 3 + 3


def test_short_calls_are_sampled_together(bench, monkeypatch):
    clock, count = [0.0], [0]

    def run():
        clock[0] += 2.0**-17  # about 8 µs, and sums are exact
        count[0] += 1

    monkeypatch.setattr(bench.clock.time, "perf_counter", lambda: clock[0])
    times = bench.clock.take_turns({"short": [bench.call.Call(run, None)]}, 0.0)["short"]
    assert set(times) == {2.0**-17}
    assert len(times) == 24
    # 100 µs hold 13 calls; three for warming up, one before each turn.
    assert count[0] == 3 + 3 * (1 + 8 * 13)


def test_who_is_very_slow_takes_part_in_fewer_rounds(bench, monkeypatch):
    """100 ms are more than three times 32 ms, so it is every fourth round after the first three."""
    clock, log = [0.0], []

    def call(name, lasting):
        def run():
            clock[0] += lasting
            log.append(name)

        return bench.call.Call(run)

    monkeypatch.setattr(bench.clock.time, "perf_counter", lambda: clock[0])
    calls = {"quick": [call("quick", 20e-3)], "slow": [call("slow", 100e-3)]}
    times = bench.clock.take_turns(calls, 0.75)
    # Rounds 0 to 2 take 120 ms, as do 4 and 8; 12 begins after 740 ms and is the last.
    assert {name: len(found) for name, found in times.items()} == {"quick": 13, "slow": 6}
    assert (log.count("quick"), log.count("slow")) == (13 + 3, 6 + 1)


def test_settings_are_entered_around_turns(bench):
    """Every call is made within, and the clock does not see them come and go."""
    inside, seen = [], []

    @contextlib.contextmanager
    def setting():
        inside.append(True)
        yield
        inside.pop()

    call = bench.call.Call(lambda: seen.append(len(inside)), setting=setting)
    other = bench.call.Call(lambda: seen.append(1 - len(inside)))
    bench.clock.take_turns({"set": [call], "other": [other]}, 0.0)
    assert set(seen) == {1}
    assert not inside


@pytest.mark.parametrize(("count", "expected"), [(1, 1.0), (9, 1.0), (20, 1.5), (39, 2.0)], ids=str)
def test_fastest_tenth(bench, count, expected):
    assert bench.clock.fastest_tenth(list(range(count, 0, -1))) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AMD EPYC 9R14 96-Core Processor", "amd-epyc-9r14-96-core"),
        ("Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz", "intel-xeon-platinum-8488c"),
        ("", "unknown"),
    ],
    ids=["amd", "intel", "none"],
)
def test_slug(bench, name, expected):
    assert bench.machine.slug(name) == expected


def test_neighbours_are_all_but_this_process(bench, monkeypatch):
    taken = iter([10.0, 13.0])
    monkeypatch.setattr(bench.machine, "_others_seconds", lambda: next(taken))
    wall = iter([0.0, 2.0])
    monkeypatch.setattr(bench.machine.time, "monotonic", lambda: next(wall))
    with bench.machine.Neighbours() as neighbours:
        pass
    assert neighbours.cpus == 1.5
