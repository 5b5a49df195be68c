"""Runs programs, CMake among them, and shows what they printed where they fail."""

import subprocess


def run(*command, env=None):
    """Returns the status and everything that was printed."""
    result = subprocess.run(
        [str(word) for word in command],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return result.returncode, result.stdout


def succeed(*command, env=None):
    status, output = run(*command, env=env)
    assert status == 0, f"{' '.join(map(str, command))}\n{output[-4000:]}"
    return output
