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
``front_end``
    which transform gives that, as it is written in params.yaml, where the kind does
    not say so
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
``encode(features)``, ``decode(encoded)``
    the two parts of ``forward``: up to the modules of the head, and these
``divides()``
    whether the two parts are the whole while the first is frozen; yes if not there
``sources()``
    class method: published weights by name, as ``rehear.models.sources.Source``
``adapted(tensors)``
    tensors of published weights by their original names, to our names
"""

from rehear.catalogue import Catalogue

MODELS = Catalogue(
    "model",
    {
        "ast": "rehear.models.audio_spectrogram_transformer:AST",
        "beats": "rehear.models.beats:BEATs",
        "cnn10": "rehear.models.pann:Cnn10",
        "cnn14": "rehear.models.pann:Cnn14",
        "cnn6": "rehear.models.pann:Cnn6",
        "crnn": "rehear.models.crnn:CRNN",
        "ecapa_tdnn": "rehear.models.ecapa:EcapaTdnn",
        "ffnn": "rehear.models.ffnn:FFNN",
        "hubert": "rehear.models.wav2vec2:Hubert",
        "leaf": "rehear.models.leaf:LeafEfficientNet",
        "passt": "rehear.models.passt:PaSST",
        "resnet38": "rehear.models.pann_resnet:ResNet38",
        "seq_ffnn": "rehear.models.seq_ffnn:SeqFFNN",
        "timm": "rehear.models.image_timm:TimmModel",
        "torchvision": "rehear.models.image_torchvision:TorchvisionModel",
        "wav2vec2": "rehear.models.wav2vec2:Wav2Vec2",
        "wavegram_logmel_cnn14": "rehear.models.pann_wavegram:WavegramLogmelCnn14",
        "wavlm": "rehear.models.wav2vec2:WavLM",
        "whisper": "rehear.models.whisper:Whisper",
    },
)
GIVEN = ("num_outputs", "input_shape", "sample_rate")
