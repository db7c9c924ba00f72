"""Plots of a benchmark, one kind per module."""
