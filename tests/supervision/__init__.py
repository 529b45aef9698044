"""Tests of the supervision room: the decisions as plain functions, the supervisor under virtual time."""
