"""Test of the status of files and objects."""

import uuid
from typing import Any

from clipfeat.system.file_stats import object_stats
from clipfeat.system.locations import location


def test_only_the_given_objects_have_a_status() -> None:
    """Only requested objects are returned, even if a large folder is listed in steps."""
    urls = [f"memory://{uuid.uuid4().hex}/{name}.png" for name in "ab"]
    for folder in {url.rpartition("/")[0] for url in urls}:
        for name in "abc":
            of: Any = location(f"{folder}/{name}.png")
            of.write_bytes(b"12345")
    stats = object_stats([*urls, f"{urls[0]}.missing", "https://host.invalid/a.png"])
    assert {url: stat[0] for url, stat in stats.items()} == dict.fromkeys(urls, 5)
