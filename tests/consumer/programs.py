"""Runs programs, CMake among them, and shows what they printed where they fail."""

import shutil
import subprocess

from environment import cmake


def run(*command, env=None, cwd=None):
    """Returns the status and everything that was printed."""
    result = subprocess.run(
        [str(word) for word in command],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return result.returncode, result.stdout


def succeed(*command, env=None, cwd=None):
    status, output = run(*command, env=env, cwd=cwd)
    assert status == 0, f"{' '.join(map(str, command))}\n{output[-4000:]}"
    return output


def configure_in(build, source, prefix, *definitions, env):
    """Returns CMake's status and its output in one line."""
    generator = ["-G", "Ninja"] if shutil.which("ninja", path=env["PATH"]) else []
    given = [f"-D{one}" for one in (f"CMAKE_PREFIX_PATH={prefix}", *definitions)]
    status, output = run("cmake", "-S", source, "-B", build, *generator, *given, env=env)
    return status, " ".join(output.split())


def build_in(build, source, prefix, *definitions, env):
    """Returns the folder build, with the programs of the folder source."""
    status, output = configure_in(build, source, prefix, *definitions, env=env)
    assert status == 0, output
    succeed("cmake", "--build", build, "--parallel", cmake.jobs(), env=env)
    return build
