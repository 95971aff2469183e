"""Feed-forward network for feature vectors, such as openSMILE functionals."""

import itertools

from torch import Tensor, nn

from rehear.errors import ModelError
from rehear.signals import FEATURES


def hidden_layers(
    size: int, *, hidden_size: int, num_layers: int, dropout: float
) -> nn.Sequential:
    """Return what stands before the last of ``num_layers`` linear layers.

    Args:
        size: of what comes in
        hidden_size: width of each layer
        num_layers: linear layers, the last one, which is not made here, included
        dropout: probability after each layer

    Raises:
        ValueError: if there would be no layer at all
    """
    if num_layers < 1:
        raise ValueError(f"num_layers: expected 1 or more, not {num_layers}")
    widths = [size, *[hidden_size] * (num_layers - 1)]
    layers: list[nn.Module] = []
    for narrow, wide in itertools.pairwise(widths):
        layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


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
        size = input_shape[0]
        self.hidden = hidden_layers(
            size, hidden_size=hidden_size, num_layers=num_layers, dropout=dropout
        )
        self.head = nn.Linear(hidden_size if num_layers > 1 else size, num_outputs)

    def embed(self, features: Tensor) -> Tensor:
        """Return the last hidden layer ``(batch, hidden_size)``."""
        return self.hidden(features)

    encode = embed

    def decode(self, encoded: Tensor) -> Tensor:
        return self.head(encoded)

    def forward(self, features: Tensor) -> Tensor:
        return self.decode(self.encode(features))
