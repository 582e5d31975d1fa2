"""The reports over the books: each is a few tables for a page, and the same tables as CSV. Nothing is written here."""

from billing.reports.catalogue import REPORTS, Report
from billing.reports.tables import Column, Filters, Table, to_csv

__all__ = ["REPORTS", "Column", "Filters", "Report", "Table", "to_csv"]
