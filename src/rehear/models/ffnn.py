"""Feed-forward network, for feature vectors and behind encoders."""

import itertools
from collections.abc import Callable

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
        ValueError: if there would be no layer at all, or one of no width, or dropout
            is no probability
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
        for key, size in (("hidden_size", hidden_size), ("num_layers", num_layers)):
            if size < 1:
                raise ValueError(f"{key}: expected 1 or more, not {size}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout: expected a number from 0 to 1, not {dropout}")
        widths = [input_shape[0], *[hidden_size] * (num_layers - 1)]
        layers: list[nn.Module] = []
        for narrow, wide in itertools.pairwise(widths):
            layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], num_outputs)

    def embed(self, features: Tensor) -> Tensor:
        """Return the last hidden layer ``(batch, hidden_size)``."""
        return self.hidden(features)

    encode = embed

    def decode(self, encoded: Tensor) -> Tensor:
        return self.head(encoded)

    def forward(self, features: Tensor) -> Tensor:
        return self.decode(self.encode(features))


class EncoderFFNN(nn.Module):
    """What models have in common that put an ``FFNN`` on what their encoder gives.

    They have ``encode``, and the network as ``ffnn``; all of it belongs to the task.
    ``inputs`` are features and, of models that take clips of different length, the
    lengths.
    """

    head_modules = ("ffnn",)
    encode: Callable[..., Tensor]
    ffnn: FFNN

    def embed(self, *inputs: Tensor | None) -> Tensor:
        """Return the last hidden layer ``(batch, hidden_size)``.

        Of a single linear layer, that is what the encoder gives.
        """
        return self.ffnn.embed(self.encode(*inputs))

    def decode(self, encoded: Tensor) -> Tensor:
        return self.ffnn(encoded)

    def forward(self, *inputs: Tensor | None) -> Tensor:
        return self.decode(self.encode(*inputs))
