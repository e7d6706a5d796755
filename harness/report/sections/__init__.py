"""Sections of the page: records that its template lays out."""
