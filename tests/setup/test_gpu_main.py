"""The steps of benchmarks/gpu.sh themselves: what they run, how long they may take, what they leave
alone. How steps are run is in test_gpu_steps.py.
"""

import sys
from pathlib import Path

import pytest
from benchmarks.gpu import main, tools
from benchmarks.gpu.steps import Failed, Skip

ROOT = Path(__file__).resolve().parents[2]


class TestMain:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, monkeypatch, tmp_path):
        for name in ("BUILD", "GTEST_BROUGHT"):
            monkeypatch.setattr(main, name, tmp_path / name)
        monkeypatch.setattr(main, "GTEST_INSTALLED", ())
        monkeypatch.delenv("ROPE_GTEST_SOURCE", raising=False)

    def bring(self, folder):
        folder.mkdir()
        (folder / "CMakeLists.txt").touch()
        return str(folder)

    def test_without_googletest(self):
        (command,) = main.Context(Path()).configure(0)
        assert "-DROPE_TESTS=OFF" in command.arguments
        with pytest.raises(Failed, match=r"gpu\.sh --help"):
            main.ctest(0)

    def test_googletest_that_was_brought(self):
        source = self.bring(main.GTEST_BROUGHT)
        (command,) = main.Context(Path()).configure(0)
        assert f"-DROPE_GTEST_SOURCE={source}" in command.arguments
        assert "-DROPE_TESTS=ON" in command.arguments

    def test_googletest_by_environment(self, monkeypatch, tmp_path):
        self.bring(main.GTEST_BROUGHT)
        monkeypatch.setenv("ROPE_GTEST_SOURCE", self.bring(tmp_path / "other"))
        assert main.googletest() == str(tmp_path / "other")

    @pytest.mark.parametrize("python", [sys.executable, "/usr/bin/python9"])
    def test_build_of_another_python_is_not_used(self, python):
        main.BUILD.mkdir()
        cache = main.BUILD / "CMakeCache.txt"
        cache.write_text(f"CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\nPython_EXECUTABLE:X={python}\n")
        main.forget_if_stale()
        assert cache.exists() == (python == sys.executable)

    def test_peers_that_nobody_brought(self, monkeypatch):
        monkeypatch.setattr(main, "brought", dict)
        with pytest.raises(Skip, match=r"benchmarks\.gpu\.bring"):
            main.Context(Path()).peers(0)

    def test_peers_are_compiled_for_this_gpu(self, monkeypatch):
        monkeypatch.setattr(main, "brought", lambda: {"sglang": {}})
        context = main.Context(Path())
        context.architecture = "100-real"
        configure, build = context.peers(0)
        assert "-DCMAKE_CUDA_ARCHITECTURES=100-real" in configure.arguments
        assert "-k" in build.arguments

    @pytest.mark.parametrize("ninja", [False, True])
    @pytest.mark.parametrize("configured", [False, True])
    def test_keep_going(self, tmp_path, monkeypatch, configured, ninja):
        """In the words of the generator that the folder has, or will get."""
        monkeypatch.setattr(
            main.shutil, "which", lambda _: "ninja" if ninja != configured else None
        )
        if configured:
            (tmp_path / "CMakeCache.txt").touch()
            if ninja:
                (tmp_path / "build.ninja").touch()
        assert main.keep_going(tmp_path) == (["-k", "0"] if ninja else ["-k"])

    def test_what_is_others_fails_nothing(self):
        some = main.steps_of(main.Context(Path()))
        assert {step.name for step in some if step.others} == {"peers", "profile"}

    def test_few_files(self):
        """Those who fetch them from another machine may be allowed a handful only."""
        logs = {step.log for step in main.steps_of(main.Context(Path()))}
        assert len(logs | {"report.json", "bench.json"}) <= 8

    def test_reserves_fit(self):
        some = main.steps_of(main.Context(Path()))
        assert sum(step.reserve for step in some) < main.TIME_LIMIT / 2
        # Ten minutes a command, where GPUs are lent; what is stopped has GRACE to end.
        assert 480 <= main.TIME_LIMIT <= 570
        limits = {step.name: step.limit for step in some}
        assert limits["bench"] >= main.TIME_LIMIT / 2
        assert [step.name for step in some if step.shown] == ["bench"]
        done = set()
        for one in some:
            assert set(one.needs) <= done
            done.add(one.name)


class TestProfile:
    def test_commands(self, monkeypatch):
        """Nothing of the card is changed, and one marked call of each size is measured."""
        monkeypatch.setattr(tools.shutil, "which", lambda _: "/opt/ncu")
        commands = tools.profile(0, Path("packages"))
        assert [command.arguments[-1] for command in commands] == ["8192", "1"]
        for command in commands:
            words = list(command.arguments)
            assert words[0] == "/opt/ncu"
            assert words[words.index("--clock-control") + 1] == "none"
            assert words[words.index("--profile-from-start") + 1] == "off"
            metrics = words[words.index("--metrics") + 1]
            wanted = ("dram__bytes_read", "sectors_per_request", "registers", "warps_active")
            assert all(name in metrics for name in wanted)
            assert command.environment["PYTHONPATH"] == "packages"

    def test_without_the_tool(self, monkeypatch):
        monkeypatch.setattr(tools.shutil, "which", lambda _: None)
        with pytest.raises(Skip, match="no ncu"):
            tools.profile(0, Path("packages"))
