"""Tables: how columns become a network's inputs and its outputs answers, learnt from data and kept in model files."""

from fastbp.tables._frames import read_table
from fastbp.tables._table_model import TableModel

__all__ = ["TableModel", "read_table"]
