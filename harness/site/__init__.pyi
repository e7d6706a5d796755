from .write import write_site

__all__ = ["write_site"]
