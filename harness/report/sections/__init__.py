"""What the page shows, section by section: records that its template lays out."""
