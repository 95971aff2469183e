"""Models: features to one output for each label.

A model is an ``nn.Module`` whose constructor takes ``num_outputs`` and
``input_shape`` (the shape of one clip's features), which the program gives, and
hyper-parameters with defaults. It has ``forward(features) -> logits`` and
``embed(features) -> (batch, embedding)``. To add one, write its module and a
line in the table.
"""

from rehear.catalogue import Catalogue

MODELS = Catalogue(
    "model",
    {
        "cnn10": "rehear.models.pann:Cnn10",
        "ffnn": "rehear.models.ffnn:FFNN",
    },
)
GIVEN = ("num_outputs", "input_shape")
