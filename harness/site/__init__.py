"""A static site of the leaderboard, from results folders and submissions.

`__init__.pyi` lists the public names, which are imported when first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
