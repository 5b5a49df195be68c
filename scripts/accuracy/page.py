"""The places of docs/numerics.md that are written by a program, between two comments:
<!-- table: ID --> … <!-- end -->. All else there is written by hand. For run.py and its test.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from environment.report import ROOT, Failure

PAGE = ROOT / "docs" / "numerics.md"
PLACE = re.compile(r"<!-- table: (?P<id>[\w-]+) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)
MARK = re.compile(r"<!-- (?:table: [\w-]+|end) -->")


def read(page: str) -> dict[str, str]:
    """Id → text. Failure where a mark has no partner or an id is there twice."""
    found: dict[str, str] = {}
    for match in PLACE.finditer(page):
        if match["id"] in found:
            raise Failure(f"{PAGE.name}: the table {match['id']} is there twice; leave one.")
        found[match["id"]] = match["text"].strip("\n")
    if len(MARK.findall(page)) != 2 * len(found):
        raise Failure(f"{PAGE.name}: every <!-- table: ID --> has one <!-- end --> below it.")
    return found


def write(page: str, texts: Mapping[str, str]) -> str:
    """The page with these texts at their places. Failure where ids and places differ."""
    places = read(page)
    if lost := sorted(places.keys() ^ texts.keys()):
        raise Failure(
            f"{PAGE.name}: {', '.join(lost)}: a place without a table or a table without a place."
        )
    return PLACE.sub(
        lambda match: f"<!-- table: {match['id']} -->\n{texts[match['id']]}\n<!-- end -->", page
    )


def figures(page: str) -> list[Path]:
    """The files of docs/ that the page shows."""
    return [Path(name) for name in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page)]
