"""The report: one offline HTML page of a results folder, and its figures, for notebooks too.

The public names are listed in `__init__.pyi` and imported when first used, so that no command
loads what draws before it draws.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
