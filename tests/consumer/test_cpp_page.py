"""docs/cpp.md as somebody new reads it: the first program, typed into an empty folder, and every
other piece of C++ on the page, in one function.
"""

import re
import sys
from pathlib import Path

from programs import succeed

from environment.report import ROOT

PAGE = (ROOT / "docs" / "cpp.md").read_text(encoding="utf-8")
SNIPPETS = """
#include <ATen/ATen.h>
#include <rope/kernels.h>
#include <rope/rope.h>
#include <cstdio>
#include <vector>
rope::Status snippets(at::Tensor q, at::Tensor k, at::Tensor pos, float* data, int64_t tokens,
                      int64_t heads) {{
  {with_torch}
  {{
    {without_torch}
    return status;
  }}
}}
int main() {{
  const at::Tensor q = at::ones({{1, 16, 8, 128}});
  const at::Tensor k = at::ones({{1, 16, 2, 128}});
  const at::Tensor raw = at::ones({{16, 8, 64}});
  const auto status = snippets(q, k, at::arange(16), raw.data_ptr<float>(), 16, 8);
  const at::Tensor expected = rope::rotate(at::ones({{16, 8, 64}}));
  std::puts(rope::status_text(status));
  std::puts(at::equal(raw, expected) ? "the same bits" : "DIFFERENT");
}}
"""


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def steps():
    """Of the first program, without the installation; what they print is on the page too."""
    first = section("A first program")
    typed = "".join(blocks(first[first.index("**2.") :], "bash"))
    return typed, re.search(r"^It prints `(.*?)`", first, re.MULTILINE)[1]


def test_page(tmp_path, prefix, toolless):
    """Of the installed and moved Rope; one build for both, as it takes a while."""
    pieces = SNIPPETS.format(
        with_torch="".join(blocks(section("Functions and options") + section("Errors"), "cpp")),
        without_torch="".join(blocks(section("Without torch"), "cpp")),
    )
    (tmp_path / "snippets.cpp").write_text(pieces)
    typed, promised = steps()
    link = "target_link_libraries({} PRIVATE rope::rope)\n"
    assert link.format("first") in typed
    more = "add_executable(snippets snippets.cpp)\n" + link.format("snippets")
    typed = typed.replace(link.format("first"), link.format("first") + more)
    path = f"{Path(sys.executable).parent}:{toolless['PATH']}"
    env = {**toolless, "prefix": str(prefix), "PATH": path}
    printed = succeed("bash", "-e", "-c", typed, cwd=tmp_path, env=env)
    assert printed.splitlines()[-1] == promised

    (said,) = re.findall(r"// (rope::apply: .*)$", section("Errors"), re.MULTILINE)
    printed = succeed(tmp_path / "build" / "snippets", env=toolless)
    assert printed.splitlines() == [said, "success", "the same bits"]
