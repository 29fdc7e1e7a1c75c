"""Benchmarks: our programs and others over a bad wire, and calls in virtual time beside what is possible.

`python -m tests.bench --help` lists what there is. docs/benchmarks.md holds the results and says how they came about.
"""
