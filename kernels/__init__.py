"""Arithmetic on arrays and addresses, compiled by numba. Nothing is checked here and nothing is imported early."""
