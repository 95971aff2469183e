"""Data sets, by name.

To add one, write a class with ``title``, ``citation``, ``licence``, ``url``,
``tasks``, ``needs_source`` and ``fetch``, and name it here.
"""

from rehear.catalogue import Catalogue

DATASETS = Catalogue(
    "data set",
    {
        "csv": "rehear.datasets.table:Table",
        "embedded": "rehear.datasets.embedded:Embedded",
        "folder": "rehear.datasets.folders:Folders",
        "fsdd": "rehear.datasets.fsdd:FreeSpokenDigits",
    },
)
