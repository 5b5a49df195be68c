"""The Python on a page of docs/, as a reader runs it: the first block is what the others need."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


class Page:
    def __init__(self, name):
        self.path = DOCS / name
        self.text = self.path.read_text(encoding="utf-8")
        found = re.findall(r"^```python\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        self.imports, *self.blocks = found

    @property
    def ids(self):
        return [self._title(block) for block in self.blocks]

    def finds_every_block(self):
        return len(self.blocks) + 1 == self.text.count("```python") == self.text.count("```") / 2

    def run(self, block):
        exec(compile(self.imports + block, str(self.path), "exec"), {})

    def _title(self, block):
        """The heading above, and the first word of the block."""
        headings = re.findall(r"^##+ (.*)$", self.text[: self.text.index(block)], re.MULTILINE)
        return "-".join(["", *headings][-1].lower().split() + re.findall(r"\w+", block)[:1])


def promised(block):
    """What it prints is on the page in comments: lines of their own, or behind a print."""
    return re.findall(r"^(?:print\(.*\) +)?# (.*)$", block, re.MULTILINE)
