"""One definition of every observable, for networks and theories alike.

A solver hands over what it has at a recorded step: outputs on the stage's points, and blocks of
the last layer's feature kernel. A network averages over its N hidden units, a particle theory
over its samples, a kernel theory knows the average; from there on the code is the same.

The public names are listed in `__init__.pyi` and imported when first used, so that a report, which
asks for sizes alone, loads no JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
