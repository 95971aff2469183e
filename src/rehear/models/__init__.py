"""Models: features to one output for each label.

A model is an ``nn.Module`` whose constructor takes what it asks for of ``GIVEN``
(``num_outputs``; ``input_shape``, the shape of one clip's features;
``sample_rate`` of waveforms, in Hz), which the program gives, and
hyper-parameters with defaults. It has ``forward(features) -> logits`` and
``embed(features) -> (batch, embedding)``, what its head sees. To add one, write its
module and a line in the table.

Attributes that a class may have:

``takes``
    what it takes, a kind of ``rehear.signals`` or several
``varied = True``
    clips of a batch may differ in length: ``forward`` and ``embed`` take
    ``lengths`` too, ``(batch,)`` sizes of the last axis before padding with zeros,
    or ``None`` where no clip is padded. What is padded must not change outputs.
``head_modules``
    names of the modules that belong to the task, which other weights do not fit
``blocks``
    names of the modules from the input to the head, in groups that are frozen and
    learn together; with dots, as in ``named_modules``
``extractor``
    how many of these groups are the front end, for ``train.freeze: extractor``
``sources()``
    class method: published weights by name, as ``rehear.models.sources.Source``
``adapted(tensors)``
    tensors of published weights by their original names, to our names
"""

from rehear.catalogue import Catalogue

MODELS = Catalogue(
    "model",
    {
        "cnn10": "rehear.models.pann:Cnn10",
        "ffnn": "rehear.models.ffnn:FFNN",
        "timm": "rehear.models.image_timm:TimmModel",
        "torchvision": "rehear.models.image_torchvision:TorchvisionModel",
    },
)
GIVEN = ("num_outputs", "input_shape", "sample_rate")
