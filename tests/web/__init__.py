"""Tests of clipfeat.web."""
