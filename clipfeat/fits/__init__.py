"""Runs of many fits, with a cache, a time limit, a Ray cluster or features read from disk.

A cell is one classifier that is fitted and scored on one split.
"""
