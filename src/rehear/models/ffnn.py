"""Feed-forward network for feature vectors, such as openSMILE functionals."""

import itertools

from torch import Tensor, nn

from rehear.errors import ModelError
from rehear.signals import FEATURES


class FFNN(nn.Module):
    """Linear layers with ReLU and dropout between them.

    Args:
        hidden_size: width of the hidden layers
        num_layers: linear layers, the last one included
        dropout: probability after each hidden layer
        num_outputs: given by the program
        input_shape: ``(features,)``, given by the program

    Shape:
        ``(batch, features)`` to ``(batch, num_outputs)``

    Raises:
        ModelError: if the features are not vectors
    """

    takes = FEATURES
    head_modules = ("head",)
    blocks = (("hidden",),)

    def __init__(
        self,
        *,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        if len(input_shape) != 1:
            raise ModelError(
                f"model 'ffnn' takes a vector for each clip, but features are "
                f"{input_shape}; end preprocess.transforms with functionals "
                "(opensmile), or choose another model"
            )
        if num_layers < 1:
            raise ModelError(f"model.num_layers: expected 1 or more, not {num_layers}")
        widths = [input_shape[0], *[hidden_size] * (num_layers - 1)]
        hidden: list[nn.Module] = []
        for narrow, wide in itertools.pairwise(widths):
            hidden += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*hidden)
        self.head = nn.Linear(widths[-1], num_outputs)

    def embed(self, features: Tensor) -> Tensor:
        """Return the last hidden layer ``(batch, hidden_size)``."""
        return self.hidden(features)

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.embed(features))
