"""Faults of the machine: kills, full disks, second writers, concurrent readers.

``pytest tests/faults`` runs a few of each; ``pytest tests/faults --full`` runs the full counts.
"""
