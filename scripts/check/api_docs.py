"""Gate: everything in the installed headers is documented, each parameter, result and value of an
enumeration too. Doxygen says so; where it keeps silent, its XML does. The pages that it writes on
the way are those of make docs. Status 77 where there is no doxygen.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from xml.etree import ElementTree

from tree import ROOT, finish

NOT_HERE = 77
FOLDER = ROOT / "build" / "doxygen"
DOXYFILE = ROOT / "docs" / "Doxyfile"


def run() -> list[str]:
    """Doxygen's warnings: those of parameters come with the HTML alone."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    result = subprocess.run(
        ["doxygen", str(DOXYFILE)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = [line.replace(f"{ROOT}/", "") for line in result.stderr.splitlines() if line.strip()]
    if result.returncode != 0:
        lines.append(f"doxygen ended with status {result.returncode}")
    # Of a group it says everything once for the group and once for what holds it.
    return list(dict.fromkeys(lines))


def has_words(element: ElementTree.Element) -> bool:
    parts = (element.find("briefdescription"), element.find("detaileddescription"))
    return any("".join(part.itertext()).strip() for part in parts if part is not None)


def empty_commands(member: ElementTree.Element) -> Iterator[str]:
    """A @param or @return that nothing follows counts as documentation to doxygen."""
    for item in member.iter("parameteritem"):
        description = item.find("parameterdescription")
        if description is None or not "".join(description.itertext()).strip():
            names = ", ".join(str(name.text) for name in item.iter("parametername"))
            yield f"@param {names} of {member.findtext('name')} says nothing"
    for section in member.iter("simplesect"):
        if section.get("kind") == "return" and not "".join(section.itertext()).strip():
            yield f"@return of {member.findtext('name')} says nothing"


def unsaid() -> Iterator[str]:
    """What doxygen does not warn of: enumerations' values, empty commands, namespaces, headers."""
    files = sorted((FOLDER / "xml").glob("*.xml"))
    if not files:
        yield "doxygen has read no header"
    for file in files:
        root = ElementTree.parse(file).getroot()
        for member in root.iter("memberdef"):
            place = member.find("location")
            where = "" if place is None else f"{place.get('file')}:{place.get('line')}"
            for value in member.iter("enumvalue"):
                if not has_words(value):
                    yield f"{where}: the value {value.findtext('name')} is not documented"
            yield from (f"{where}: {complaint}" for complaint in empty_commands(member))
        for compound in root.iter("compounddef"):
            name = str(compound.findtext("compoundname"))
            is_header = compound.get("kind") == "file" and name.endswith((".h", ".h.in"))
            if is_header and not has_words(compound):
                yield f"{name}: the header has no @file that says what it is for"
            if compound.get("kind") == "namespace" and not has_words(compound):
                yield f"the namespace {name} is not documented"


def main() -> int:
    if shutil.which("doxygen") is None:
        print("no doxygen: make check installs it where it can (apt-get install doxygen)")
        return NOT_HERE
    complaints = [*run(), *dict.fromkeys(unsaid())]
    return finish(complaints, "Say it in the header, for who calls it.")


if __name__ == "__main__":
    sys.exit(main())
