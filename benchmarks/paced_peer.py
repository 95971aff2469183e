"""A callback of autrainer, in its environment: a pause before each step."""

from autrainer.core.callbacks import CallbackMixin

from benchmarks.pacing import Pacer


class Pace(CallbackMixin):
    """Waits for the driver at the beginning of each training step."""

    def __init__(self):
        super().__init__()
        self._pacer = Pacer()

    def cb_on_step_begin(self, trainer, iteration, batch_idx):
        self._pacer.step()
