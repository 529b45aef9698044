"""Tests of the scripts that are written in Python."""
