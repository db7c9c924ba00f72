"""What happens when the machine fails: kills, full disks, second writers, readers in between.

``pytest tests/faults`` runs a few of each; ``pytest tests/faults --full`` runs the full counts.
"""
