"""Arguments with which each class of a wrapped library changes the arrays below."""

import numpy as np

_draws = np.random.default_rng(0)
WAVEFORMS = [
    (0.3 * _draws.standard_normal((channels, 16_000))).astype(np.float32)
    for channels in (1, 2)
]
IMAGES = [_draws.random((channels, 32, 32)).astype(np.float32) for channels in (1, 3)]
SPECTROGRAMS = [20 * image - 10 for image in IMAGES]

LIBRARIES = (
    "torchaudio",
    "torchvision",
    "audiomentations",
    "torch_audiomentations",
    "albumentations",
)
ARGUMENTS = {
    "torchaudio": {
        "Fade": {"fade_in_len": 1000},
        "PitchShift": {"n_steps": 12},
        "SpecAugment": {"n_time_masks": 2, "n_freq_masks": 2},
        "Speed": {"factor": 1.1},
        "SpeedPerturbation": {"factors": [0.9, 1.1, 1.2]},
        "Vol": {"gain": 0.5},
    },
    "torchvision": {
        "CenterCrop": {"size": 32},
        "ColorJitter": {"brightness": 0.5, "contrast": [0.5, 2]},
        "GaussianBlur": {"kernel_size": [3, 5]},
        "Grayscale": {"num_output_channels": 3},
        "JPEG": {"quality": [5, 50]},
        "Normalize": {"mean": [0.5], "std": [0.2]},
        "RandomAdjustSharpness": {"sharpness_factor": 2},
        "RandomAffine": {"degrees": 30, "interpolation": "bilinear"},
        "RandomCrop": {"size": [32, 32], "padding": 4},
        "RandomPosterize": {"bits": 3},
        "RandomResizedCrop": {"size": [32, 32], "interpolation": "nearest"},
        "RandomRotation": {"degrees": [-30, 30]},
        "RandomSolarize": {"threshold": 0.5},
        "Resize": {"size": [32, 32]},
    },
    "audiomentations": {"AdjustDuration": {"duration_seconds": 0.5}},
    "torch_audiomentations": {"SpliceOut": {"max_width": 50}},
    "albumentations": {
        "Affine": {"rotate": [-30, 30], "interpolation": "cubic"},
        "CLAHE": {"clip_limit": [1, 40], "tile_grid_size": [2, 2]},
        "CenterCrop": {"height": 32, "width": 32},
        "Crop": {"x_max": 32, "y_max": 32},
        "CropAndPad": {"px": [-8, 8]},
        "Downscale": {
            "interpolation_pair": {"upscale": "nearest", "downscale": "area"}
        },
        "FrequencyMasking": {"freq_mask_param": 8},
        "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 5},
        "LongestMaxSize": {"max_size": 32},
        "PadIfNeeded": {"min_height": 32, "min_width": 32},
        "PlanckianJitter": {"temperature_limit": [3000, 9000]},
        "RandomCrop": {"height": 32, "width": 32},
        "RandomGravel": {"gravel_roi": [0, 0, 1, 1], "number_of_patches": 20},
        "RandomResizedCrop": {"size": [32, 32]},
        "RandomSizedCrop": {"min_max_height": [16, 32], "size": [32, 32]},
        "Resize": {"height": 32, "width": 32},
        "SmallestMaxSize": {"max_size": 32},
        "TimeMasking": {"time_mask_param": 8},
        "XYMasking": {"num_masks_x": 2, "mask_x_length": [3, 6]},
    },
}

# Classes that draw nothing with these arguments.
FIXED = {
    "torchaudio": {
        "AmplitudeToDB",
        "ComputeDeltas",
        "Deemphasis",
        "Fade",
        "PitchShift",
        "Preemphasis",
        "SlidingWindowCmn",
        "Speed",
        "Vad",
        "Vol",
    },
    "torchvision": {
        "CenterCrop",
        "Grayscale",
        "Identity",
        "Normalize",
        "RGB",
        "RandomAdjustSharpness",
        "RandomAutocontrast",
        "RandomEqualize",
        "RandomGrayscale",
        "RandomHorizontalFlip",
        "RandomInvert",
        "RandomPosterize",
        "RandomSolarize",
        "RandomVerticalFlip",
        "Resize",
    },
    "audiomentations": {"Clip", "Normalize", "PolarityInversion", "Reverse", "Trim"},
    "torch_audiomentations": {
        "Identity",
        "PeakNormalization",
        "PolarityInversion",
        "TimeInversion",
    },
    "albumentations": {
        "AutoContrast",
        "CenterCrop",
        "Crop",
        "Downscale",
        "Equalize",
        "HorizontalFlip",
        "InvertImg",
        "LongestMaxSize",
        "Morphological",
        "NoOp",
        "Pad",
        "PadIfNeeded",
        "Posterize",
        "RandomCrop",
        "Resize",
        "SmallestMaxSize",
        "Solarize",
        "TimeReverse",
        "ToGray",
        "ToSepia",
        "Transpose",
        "VerticalFlip",
    },
}
# Classes that take spectrograms rather than waveforms, though of the same library.
ON_SPECTROGRAMS = {
    "AmplitudeToDB",
    "ComputeDeltas",
    "FrequencyMasking",
    "SlidingWindowCmn",
    "SpecAugment",
    "TimeMasking",
}
# Classes that change images of one channel to others, or refuse them.
THREE_CHANNELS = {
    "ChannelDropout",
    "ChannelShuffle",
    "ChromaticAberration",
    "Grayscale",
    "HEStain",
    "ISONoise",
    "PlanckianJitter",
    "RGB",
    "RandomChannelPermutation",
    "RandomFog",
    "RandomGravel",
    "RandomRain",
    "RandomSnow",
    "RandomSunFlare",
    "ShuffleChannels",
    "Spatter",
}


def arrays(library, transform):
    """Return arrays that a class takes, of one channel and of several."""
    if library in ("torchvision", "albumentations"):
        found = IMAGES
    elif library == "torchaudio" and transform in ON_SPECTROGRAMS:
        found = [image + np.float32(0.1) for image in IMAGES]
    else:
        found = WAVEFORMS
    if transform == "RandomGravel":  # its grains are lost on small images
        found = [np.tile(image, (1, 2, 2)) for image in found]
    return found[1:] if transform in THREE_CHANNELS else found
