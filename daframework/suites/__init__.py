"""Suites: every recipe with every seed, and the table that compares them."""
