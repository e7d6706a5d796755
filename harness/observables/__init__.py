"""One definition of every observable, for networks and theories alike.

At a recorded step, a solver hands over outputs on the stage's points, and blocks of the last
layer's feature kernel. A network averages over its N hidden units, a particle theory over its
samples, and a kernel theory knows the average; from there on the code is the same.

`__init__.pyi` lists the public names, which are imported when first used, so that a report, which
needs sizes alone, loads no JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
