"""Tables: how columns become a network's inputs and its outputs answers, learnt from data and kept in model files."""

from fastbp.tables._frames import read_table

__all__ = ["read_table"]
