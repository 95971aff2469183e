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
        "albumentations": "rehear.augmentations.albumentations:Albumentations",
        "audiomentations": "rehear.augmentations.audiomentations:Audiomentations",
        "choice": "rehear.augmentations.nodes:Choice",
        "cutmix": "rehear.augmentations.batch:Cutmix",
        "frequency_mask": "rehear.augmentations.spectrogram:FrequencyMask",
        "gain": "rehear.augmentations.waveform:Gain",
        "gaussian_noise": "rehear.augmentations.waveform:GaussianNoise",
        "impulse_response": "rehear.augmentations.reverb:ImpulseResponse",
        "mixup": "rehear.augmentations.batch:Mixup",
        "noise_at_snr": "rehear.augmentations.noise:NoiseAtSnr",
        "noise_by_table": "rehear.augmentations.noise:NoiseByTable",
        "polarity": "rehear.augmentations.waveform:Polarity",
        "random_crop": "rehear.augmentations.placement:RandomCrop",
        "sequence": "rehear.augmentations.nodes:Sequence",
        "spec_augment": "rehear.augmentations.spectrogram:SpecAugment",
        "time_mask": "rehear.augmentations.spectrogram:TimeMask",
        "time_shift": "rehear.augmentations.placement:TimeShift",
        "time_warp": "rehear.augmentations.warp:TimeWarp",
        "torch_audiomentations": (
            "rehear.augmentations.torch_audiomentations:TorchAudiomentations"
        ),
        "torchaudio": "rehear.augmentations.torchaudio:Torchaudio",
        "torchvision": "rehear.augmentations.torchvision:Torchvision",
    },
)
