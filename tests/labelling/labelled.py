"""Names of images and classes for the labelling tests."""

HOSTILE = "<img src=x onerror=alert(1)>"
