"""Names for the tests of the labelling page."""

HOSTILE = "<img src=x onerror=alert(1)>"
