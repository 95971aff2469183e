"""Augmentations: random changes of training clips.

One clip at a time, ``(x, generator) → x``, or, where the class says
``batch = True``, a whole batch, ``(x, targets, generator) → (x, targets)`` with
targets as ``(batch, outputs)`` weights. Every draw comes from the generator
that is handed in. To add one, write its class and a line in the table.
"""

from rehear.catalogue import Catalogue

AUGMENTATIONS = Catalogue(
    "augmentation",
    {
        "gain": "rehear.augmentations.waveform:Gain",
        "gaussian_noise": "rehear.augmentations.waveform:GaussianNoise",
        "time_mask": "rehear.augmentations.spectrogram:TimeMask",
        "frequency_mask": "rehear.augmentations.spectrogram:FrequencyMask",
        "mixup": "rehear.augmentations.batch:Mixup",
        "torchaudio": "rehear.augmentations.torchaudio:Torchaudio",
        "torchvision": "rehear.augmentations.torchvision:Torchvision",
        "audiomentations": "rehear.augmentations.audiomentations:Audiomentations",
        "torch_audiomentations": (
            "rehear.augmentations.torch_audiomentations:TorchAudiomentations"
        ),
        "albumentations": "rehear.augmentations.albumentations:Albumentations",
    },
)
