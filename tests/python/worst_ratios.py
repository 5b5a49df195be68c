"""How near the tests came to a bound: the largest ratio of an error to it, printed at the end.

A test calls record; the reports of tests carry it, from the workers of pytest-xdist too, to the
hook, which conftest.py imports.
"""

_PREFIX = "worst ratio: "


def record(record_property, name, ratio):
    """Keeps ratio for the summary, under a name that the largest ratios are taken over."""
    record_property(_PREFIX + name, float(ratio))


def pytest_terminal_summary(terminalreporter):
    worst = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name.startswith(_PREFIX):
                    name = name.removeprefix(_PREFIX)
                    worst[name] = max(value, worst.get(name, 0.0))
    if not worst:
        return
    terminalreporter.section("largest error / allowed error (docs/numerics.md)")
    for name, ratio in sorted(worst.items()):
        terminalreporter.write_line(f"{ratio:.4f}  {name}")
