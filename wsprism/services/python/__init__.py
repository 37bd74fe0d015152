"""Services in Python: code of the operator's in the gateway's process (docs/services.md).

``loading`` makes a service of a file, factory or entry point; an ``Engine`` runs one in one tenant; ``ext`` and ``hot``
are the two ways into it. Knows the author's face (``wsprism.plugin``) and its tenant's ``ServiceHost``, no actor.
"""

from wsprism.services.python.engine import Engine, MigrationFailed
from wsprism.services.python.ext import PythonService
from wsprism.services.python.hot import PythonHotService
from wsprism.services.python.loading import LoadedService, LoadFault, Source, load

__all__ = [
    "Engine",
    "LoadFault",
    "LoadedService",
    "MigrationFailed",
    "PythonHotService",
    "PythonService",
    "Source",
    "load",
]
