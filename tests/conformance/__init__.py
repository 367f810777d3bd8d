"""Test suites that others wrote for their clients, run through hoop."""
