"""Losses: ``(logits, targets) → scalar``, the mean over a batch.

A loss is an ``nn.Module``. Its constructor may ask for ``counts``, the training
clips of each label, and ``task``, which the program gives. One that is not for
every task names those that it is for in ``tasks``. To add one, write its class
and a line in the table.
"""

from rehear.catalogue import Catalogue, Spec, name_of
from rehear.errors import ParamsError

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


def choose(spec: Spec | None, *, task: str) -> Spec | None:
    """Return the loss of params.yaml, if it names one.

    Raises:
        ParamsError: if the loss is for another task; some would take its targets
            all the same, and mean something else by them
    """
    if spec is None:
        return None
    tasks = getattr(LOSSES.get(name_of(spec)), "tasks", (task,))
    if task not in tasks:
        raise ParamsError(
            f"train.loss: '{name_of(spec)}' is for {' or '.join(tasks)}, but task is "
            f"{task}; leave train.loss out to take the task's own"
        )
    return spec
