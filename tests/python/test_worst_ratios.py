"""The summary of worst ratios: pytest prints the largest of each name at the end."""

from types import SimpleNamespace

import worst_ratios


def summary(*properties):
    lines = []
    reports = [SimpleNamespace(user_properties=[p]) for p in properties]
    worst_ratios.pytest_terminal_summary(
        SimpleNamespace(
            stats={"passed": reports, "": [object()]},
            section=lines.append,
            write_line=lines.append,
        )
    )
    return lines


def recorded(name, ratio):
    kept = []
    worst_ratios.record(lambda *pair: kept.append(pair), name, ratio)
    return kept[0]


def test_the_largest_of_each_name_is_printed():
    lines = summary(recorded("b", 0.25), recorded("a", 0.125), recorded("b", 0.5), ("other", 9.0))
    assert lines[1:] == ["0.1250  a", "0.5000  b"]


def test_nothing_is_printed_where_nothing_was_recorded():
    assert summary(("other", 9.0)) == []


def test_pytest_has_the_hook(pytestconfig):
    hooks = pytestconfig.pluginmanager.hook.pytest_terminal_summary.get_hookimpls()
    assert worst_ratios.pytest_terminal_summary in [hook.function for hook in hooks]
