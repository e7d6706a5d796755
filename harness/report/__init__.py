"""The report: one offline HTML page for a results folder, and its figures, for notebooks too.

`__init__.pyi` lists the public names, which are imported when first used, so that no command
loads plotting libraries before it draws.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
