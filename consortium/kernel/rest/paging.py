"""Cursor pages: stable while rows are added, no count, no page numbers."""

from rest_framework.pagination import CursorPagination


class CursorPages(CursorPagination):
    """Fifty rows by key, which is time-ordered; `?cursor=` comes from `next`, `?limit=` asks for up to 200."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    ordering = "-id"
