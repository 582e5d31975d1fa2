"""The books for other programs: a beancount file, or CSV journals for accounting packages."""

from billing.books_export.export import BooksUnsound, ExportTarget, Written, export_books
from billing.books_export.journal import Journal, read_journal

__all__ = ["BooksUnsound", "ExportTarget", "Journal", "Written", "export_books", "read_journal"]
