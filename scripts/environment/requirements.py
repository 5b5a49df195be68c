"""Which Python packages are wanted and which are missing. The lists are pyproject.toml's
dependency groups: `dev`, and `bench` for what make bench measures beside us. For
environment/packages.py and the gates.
"""

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from environment.report import Failure

# Of the oldest minor version that is supported; a gate and make test-oldest try it.
OLDEST_TORCH = "2.11.0"
# Installed as pinned even beside another version: the demo's and the gates' answers hang on them.
ALWAYS_PINNED = frozenset({"transformers", "ruff", "mypy", "clang-format"})

_LIST_INSTALLED = """
import importlib.metadata as metadata, sys
for name in sys.argv[1:]:
    try:
        print(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        pass
"""


@dataclass(frozen=True)
class Requirement:
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def read(pyproject: Path, group: str = "dev") -> list[Requirement]:
    """The pins of a group. Not with tomllib: Python 3.10 has none."""
    text = pyproject.read_text(encoding="utf-8")
    lines = re.search(rf"^{group} = \[$(.*?)^\]$", text, re.MULTILINE | re.DOTALL)
    pins = re.findall(r'^\s*"([\w.-]+)==([^"]+)",$', lines[1] if lines else "", re.MULTILINE)
    if not pins:
        raise Failure(f"{pyproject} has no dependency group `{group}`: restore it from git.")
    return [Requirement(name, version) for name, version in pins]


def installed(python: Path, names: Iterable[str]) -> dict[str, str]:
    """name → version, for those of names that this interpreter sees."""
    command = [str(python), "-c", _LIST_INSTALLED, *names]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise Failure(f"{python} does not run: delete {python.parents[1]} and run again.")
    return dict(line.split(" ", 1) for line in result.stdout.splitlines())


def _minor(version: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (0,) if match is None else tuple(map(int, match.groups()))


def is_supported_torch(version: str | None) -> bool:
    return _minor(version or "") >= _minor(OLDEST_TORCH)


def missing(
    wanted: Iterable[Requirement], found: Mapping[str, str], *, shared: bool
) -> list[Requirement]:
    """What has to be installed. Over another environment's packages (shared) any version serves,
    since replacing one could break its torch; in an environment of our own the pin holds."""

    def is_met(requirement: Requirement) -> bool:
        version = found.get(requirement.name)
        if shared and requirement.name == "torch":
            return is_supported_torch(version)
        if shared and requirement.name not in ALWAYS_PINNED:
            return version is not None
        # 2.15.0+cpu is 2.15.0, built otherwise.
        return version is not None and version.split("+")[0] == requirement.version

    return [requirement for requirement in wanted if not is_met(requirement)]
