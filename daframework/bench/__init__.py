"""Suites: many recipes on one pair of domains, run where results are missing, and one table over all of them."""
