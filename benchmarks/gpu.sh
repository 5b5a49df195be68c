#!/usr/bin/env bash
# All that needs a GPU, in one command that takes at most 9.5 minutes and no network:
#
#   benchmarks/gpu.sh OUT_DIR
#
# builds for the GPU of this machine, runs the C++ and Python tests with ROPE_REQUIRE_CUDA=1 (where a
# skipped GPU test is a failure), measures, runs some tests under compute-sanitizer, and profiles the
# main kernel where ncu is installed. A step that fails does not stop the next one; the exit status is
# 0 if none failed. OUT_DIR, made if it is not there, gets report.json (machine, versions, commit,
# steps), bench.json, and a log for each step. python -m benchmarks.gpu.save OUT_DIR keeps bench.json.
#
# It needs a python3 that has torch 2.11 or newer, pytest, hypothesis and mpmath, and nvcc 13, g++
# and CMake 3.25. PYTHON names another python3; ROPE_COMMIT names the commit where there is no .git.
#
# GoogleTest, where it is not installed, is brought along as source, in a folder that git ignores:
#
#   mkdir -p third_party && cp -r /usr/src/googletest third_party/        (Debian's libgtest-dev)
#   git clone --depth 1 --branch v1.14.0 https://github.com/google/googletest third_party/googletest
#
# or ROPE_GTEST_SOURCE names its folder. So are others' rotations, to be measured beside this one's:
#
#   python3 -m benchmarks.gpu.bring                    (where there is a network; some 6 MB)
set -euo pipefail
cd_target="$(dirname "${BASH_SOURCE[0]}")/.."
if [[ $# -ne 1 || $1 == -* ]]; then
  sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 2
fi
out="$(mkdir -p "$1" && cd "$1" && pwd)"
cd "$cd_target"
python="${PYTHON:-python3}"
if ! command -v "$python" >/dev/null; then
  echo "No $python on the PATH: name one, as in PYTHON=python3.12 benchmarks/gpu.sh $1." >&2
  exit 1
fi
exec "$python" -m benchmarks.gpu.main "$out"
