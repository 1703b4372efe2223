"""Print how long each folder of tests took, from pytest's JUnit reports."""

from __future__ import annotations

import sys
from collections import defaultdict
from xml.etree import ElementTree


def main(reports: list[str]) -> None:
    """Print one line a folder under tests/: its seconds and its number of tests."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own report, written a moment ago
            folder = "/".join(part for part in case.get("classname", "").split(".")[:-1] if not part.startswith("Test"))
            seconds[folder].append(float(case.get("time", "0")))
    for folder, times in sorted(seconds.items()):
        sys.stdout.write(f"{folder:24} {sum(times):7.1f} s  {len(times):5} tests\n")


main(sys.argv[1:])
