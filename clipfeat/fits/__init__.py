"""Runs of many fits: with a cache, a time limit, a Ray cluster, or out of core.

A cell is one classifier that is fitted and scored on one split.
"""
