"""Recurrent layers over clips that may differ in length, and pooling over time."""

from torch import Tensor, nn
from torch.nn.utils import rnn

from rehear.errors import suggest

CELLS: dict[str, type[nn.LSTM | nn.GRU]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(nn.Module):
    """Recurrent layers, and one vector for each clip from their states.

    What stands behind the end of a clip is never read: its states end with the
    clip, and those of the other direction begin there.

    Args:
        input_size: of each frame
        cell: ``lstm`` or ``gru``
        hidden_size: states of each direction
        num_layers: one on top of another
        dropout: probability between two layers
        bidirectional: also from the end of a clip to its beginning
        time_pooling: mean of the states of all frames; if false, the state of each
            direction after its last frame

    Attributes:
        size: of the vector

    Shape:
        ``(batch, frames, input_size)`` to ``(batch, size)``

    Raises:
        ValueError: if there is no such cell, or if torch refuses a size
    """

    def __init__(
        self,
        input_size: int,
        *,
        cell: str,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        bidirectional: bool,
        time_pooling: bool = True,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(
                f"unknown cell '{cell}'.{suggest(cell, CELLS)} Known: "
                f"{', '.join(CELLS)}"
            )
        self.time_pooling = time_pooling
        self.size = hidden_size * (2 if bidirectional else 1)
        self.layers = CELLS[cell](
            input_size,
            hidden_size,
            num_layers,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0,  # else torch warns of it
            bidirectional=bidirectional,
        )

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return a vector for each clip.

        Args:
            x: frames
            lengths: frames of each clip, at least 1; ``None`` if none is padded
        """
        if lengths is None:
            states, last = self.layers(x)
            return states.mean(dim=1) if self.time_pooling else self._of_last(last)
        packed = rnn.pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, last = self.layers(packed)
        if not self.time_pooling:
            return self._of_last(last)
        padded, _ = rnn.pad_packed_sequence(states, batch_first=True)  # with zeros
        return padded.sum(dim=1) / lengths.to(x.device).unsqueeze(1)

    def _of_last(self, last: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Return the last states of the top layer, its directions side by side."""
        hidden = last[0] if isinstance(last, tuple) else last
        directions = 2 if self.layers.bidirectional else 1
        return hidden[-directions:].transpose(0, 1).flatten(1)
