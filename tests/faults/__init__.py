"""Tests of failures: kills, full disks, concurrent writers and readers, and damaged files.

``pytest tests/faults`` runs a few cases of each, and ``pytest tests/faults --full`` runs all.
"""
