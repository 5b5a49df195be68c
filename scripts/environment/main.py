"""The set-up from end to end; scripts/setup.py calls it, and so does every make target."""

import sys
from pathlib import Path

from environment import cmake, packages, system
from environment.report import ROOT, guarded, leave_out, step


def _install_editable() -> None:
    """Once: the package's files are the checkout's own, and the build renews the binaries."""
    if packages.read_stamp().get("editable") == str(ROOT):
        return
    command = [str(packages.PYTHON), "-m", "pip", "install", "--no-build-isolation", "--no-deps"]
    step(
        "install torch_rope, editable",
        [*command, "-e", str(ROOT)],
        log="pip-editable",
        advice="pip could not install this checkout: see the lines above",
        env=packages.environment(),
    )
    packages.write_stamp(editable=str(ROOT))


def set_up(purpose: str) -> int:
    system.need_compiler()
    system.need_cmake()
    packages.create_venv()
    missing = packages.install()
    if purpose == "test" and "torch" in missing:
        leave_out("all that needs torch; the kernels' own tests still run.")
        return 0
    packages.need("torch", missing, f"make {purpose}")
    packages.need("setuptools", missing, f"make {purpose}")
    if purpose in ("bench", "test"):
        packages.install_peers()
    system.need_python_headers()
    if purpose in ("test", "check"):
        system.want_doxygen()
    cmake.build("dev")
    cmake.install("dev", ROOT / "python" / "torch_rope")
    _install_editable()
    return 0


def main(arguments: list[str]) -> int:
    purpose = arguments[0] if arguments else "setup"
    return guarded(lambda: set_up(purpose))


if __name__ == "__main__":
    sys.exit(f"Run python3 {Path('scripts') / 'setup.py'} instead.")
