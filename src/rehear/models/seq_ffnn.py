"""Recurrent network for features in time, such as low-level descriptors."""

from torch import Tensor, nn

from rehear.errors import ModelError
from rehear.models.ffnn import FFNN
from rehear.models.recurrent import Recurrent
from rehear.signals import FEATURES, SPECTROGRAM


class SeqFFNN(nn.Module):
    """Recurrent layers, pooling over time, then linear layers.

    Takes features as the transforms ``opensmile`` (with level ``lld``) and
    ``log_mel`` give them, with frames last. The defaults are those of the presets
    ``Seq-FFNN`` of the reference implementation. It pools by the mean, too; where
    it does not pool, it answers for each frame, but this model for each clip.

    Source: ``SeqFFNN`` of Rampp et al., "autrainer: A modular and extensible deep
    learning toolkit for computer audition tasks", 2024,
    https://github.com/autrainer/autrainer.

    Args:
        cell: ``lstm`` or ``gru``
        rnn_hidden_size: states of each direction of the recurrent layers
        rnn_num_layers: recurrent layers
        rnn_dropout: probability between two recurrent layers
        bidirectional: also from the end of a clip to its beginning
        time_pooling: mean of the states of all frames; if false, the state of each
            direction after its last frame
        hidden_size: width of the hidden linear layers
        num_layers: linear layers, the last one included
        dropout: probability after each hidden linear layer
        num_outputs: given by the program
        input_shape: ``(features, frames)`` or ``(1, features, frames)``, given by
            the program

    Shape:
        ``(batch, features, frames)`` or ``(batch, 1, features, frames)`` to
        ``(batch, num_outputs)``

    Raises:
        ModelError: if the features are not frames
        ValueError: if there is no such cell
    """

    takes = (FEATURES, SPECTROGRAM)
    varied = True
    head_modules = ("ffnn.head",)
    blocks = (("recurrent",), ("ffnn.hidden",))

    def __init__(  # noqa: PLR0913 - hyper-parameters of two networks
        self,
        *,
        cell: str = "lstm",
        rnn_hidden_size: int = 32,
        rnn_num_layers: int = 2,
        rnn_dropout: float = 0.5,
        bidirectional: bool = False,
        time_pooling: bool = True,
        hidden_size: int = 32,
        num_layers: int = 2,
        dropout: float = 0.5,
        num_outputs: int,
        input_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        if len(input_shape) not in (2, 3) or input_shape[:-2] not in ((), (1,)):
            raise ModelError(
                f"model 'seq_ffnn' takes features in time, (features, frames) or (1, "
                f"features, frames), but features are {input_shape}; end "
                "preprocess.transforms with {name: opensmile, level: lld} or log_mel, "
                "after mono, or choose another model"
            )
        self.recurrent = Recurrent(
            input_shape[-2],
            cell=cell,
            hidden_size=rnn_hidden_size,
            num_layers=rnn_num_layers,
            dropout=rnn_dropout,
            bidirectional=bidirectional,
            time_pooling=time_pooling,
        )
        self.ffnn = FFNN(
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            num_outputs=num_outputs,
            input_shape=(self.recurrent.size,),
        )

    def embed(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the last hidden layer ``(batch, hidden_size)``.

        Of a single linear layer, that is the pooled state of the recurrent layers.
        """
        frames = features.squeeze(1) if features.ndim == 4 else features
        return self.ffnn.embed(self.recurrent(frames.transpose(1, 2), lengths))

    encode = embed

    def decode(self, encoded: Tensor) -> Tensor:
        return self.ffnn.decode(encoded)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(features, lengths))
