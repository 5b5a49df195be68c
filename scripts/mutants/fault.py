"""What a seeded fault is. For the tables in faults_*.py, and for those who read them."""

import re
from dataclasses import dataclass

PROGRAM = re.compile(r"cpp\.(\w+)")


class TableError(Exception):
    """A fault that could not be tried: the table is out of date, or was wrong from the start."""


@dataclass(frozen=True)
class Fault:
    """In file, old, which is there once, becomes new."""

    name: str
    file: str
    old: str
    new: str
    breaks: str
    # Those that should notice: cpp.<name> as ctest knows it, or a test or file as pytest takes it.
    tests: tuple[str, ...]

    @property
    def programs(self) -> list[str]:
        return [test for test in self.tests if PROGRAM.fullmatch(test)]

    @property
    def python_tests(self) -> list[str]:
        return [test for test in self.tests if not PROGRAM.fullmatch(test)]

    def seeded(self, text: str) -> str:
        count = text.count(self.old)
        if count != 1:
            raise TableError(f"its old text occurs {count} times in {self.file}")
        return text.replace(self.old, self.new)
