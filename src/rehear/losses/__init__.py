"""Losses: ``(logits, targets) → scalar``, the mean over a batch.

A loss is an ``nn.Module``. Its constructor may ask for ``counts``, the training
clips of each label, and ``task``, which the program gives. To add one, write
its class and a line in the table.
"""

from rehear.catalogue import Catalogue

LOSSES = Catalogue(
    "loss",
    {
        "cross_entropy": "rehear.losses.labels:CrossEntropy",
        "binary_cross_entropy": "rehear.losses.labels:BinaryCrossEntropy",
        "mse": "rehear.losses.numbers:MSE",
        "ccc": "rehear.losses.numbers:CCC",
    },
)
GIVEN = ("counts", "task")
