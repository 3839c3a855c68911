"""LatentFoley: text to sound with latent diffusion.

    import latentfoley

    model = latentfoley.load("tiny")
    model.generate("a dog barking")[0].save("dog.wav")

Names are imported when first used: `import latentfoley` itself loads nothing heavy.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from latentfoley.errors import LatentFoleyError
from latentfoley.version import __version__

if TYPE_CHECKING:
    from latentfoley.client import Client
    from latentfoley.clip import Clip
    from latentfoley.cluster.batch import batch
    from latentfoley.editing.request import EditRequest
    from latentfoley.loading import load
    from latentfoley.pipeline import Model
    from latentfoley.request import GenerationRequest

__all__ = [
    "Client",
    "Clip",
    "EditRequest",
    "GenerationRequest",
    "LatentFoleyError",
    "Model",
    "__version__",
    "batch",
    "load",
]

# OpenMP's threads spin while they wait, also where another program has the core that they wait for:
# docs/decisions/0116. It is read when torch is imported, so it is set before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "Client": "latentfoley.client",
    "Clip": "latentfoley.clip",
    "EditRequest": "latentfoley.editing.request",
    "GenerationRequest": "latentfoley.request",
    "Model": "latentfoley.pipeline",
    "batch": "latentfoley.cluster.batch",
    "load": "latentfoley.loading",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'latentfoley' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
