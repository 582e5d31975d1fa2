"""Reading cloud bills in FOCUS 1.0 to 1.3 (CSV, gzipped or not, Parquet): streaming, exact, errors with lines."""

from billing.focus.bill import Bill, CostRecord, read_bill
from billing.focus.errors import BillError, BillRefused

__all__ = ["Bill", "BillError", "BillRefused", "CostRecord", "read_bill"]
