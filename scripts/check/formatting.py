"""Gate: clang-format for C++ and CUDA, ruff format for Python. `--fix` formats instead."""

import subprocess
import sys

import clang_format

from tree import CPP, ROOT, files, finish


def differing_cpp(fix: bool) -> list[str]:
    paths = [str(path) for path in files(CPP)]
    if not paths:
        return []
    options = ["-i"] if fix else ["--dry-run", "-Werror"]
    program = clang_format._get_executable("clang-format")
    result = subprocess.run(
        [program, "--style=file", *options, *paths],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = {line.split(":")[0] for line in result.stderr.splitlines() if ": error:" in line}
    if result.returncode and not complaints:
        return [result.stderr]
    return [f"{path}: not as clang-format writes it" for path in sorted(complaints)]


def differing_python(fix: bool) -> list[str]:
    paths = [str(path) for path in files({".py", ".pyi"})]
    ruff = [sys.executable, "-m", "ruff"]
    if fix:
        sort_imports = [*ruff, "check", "-q", "--select=I", "--fix", *paths]
        subprocess.run(sort_imports, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    options = ["-q"] if fix else ["-q", "--check", "--output-format=concise"]
    result = subprocess.run(
        [*ruff, "format", *options, *paths],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if result.returncode == 0 else (result.stdout + result.stderr).splitlines()


if __name__ == "__main__":
    fix = "--fix" in sys.argv[1:]
    sys.exit(finish(differing_cpp(fix) + differing_python(fix), "Run make format."))
