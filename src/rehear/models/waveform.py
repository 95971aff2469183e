"""What models of waveforms have in common: a check of what comes to them."""

from rehear.errors import ModelError


def check_shape(model: str, shape: tuple[int, ...], *, least: int = 1) -> None:
    """Refuse features that are no waveform of one channel.

    Args:
        model: its name in params.yaml
        shape: of the features of a clip
        least: samples that a clip needs, where models do not pad it themselves

    Raises:
        ModelError: if so
    """
    if len(shape) == 2 and shape[0] == 1 and shape[1] >= least:
        return
    size, fit = (f" of at least {least} samples", " and fit") if least > 1 else ("", "")
    raise ModelError(
        f"model '{model}' takes a waveform (1, samples){size}, but features are "
        f"{shape}; end preprocess.transforms with mono{fit}, without a spectrogram or "
        "other features"
    )


def check_rate(model: str, rate: int, *, wanted: int) -> None:
    """Refuse waveforms of another sample rate.

    Args:
        model: its name in params.yaml
        rate: of the waveforms, in Hz; 0 if not known
        wanted: the only one that the model takes, in Hz

    Raises:
        ModelError: if so
    """
    if rate not in (0, wanted):
        raise ModelError(
            f"model '{model}' takes waveforms at {wanted} Hz, but they have {rate} Hz; "
            f"set preprocess.sample_rate to {wanted}, or put {{name: resample, rate: "
            f"{wanted}}} into preprocess.transforms"
        )
