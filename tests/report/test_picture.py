import base64
import struct
import zlib

import numpy as np

from rehear.report import picture


def decoded(png):
    """Return palette indices and palette of a PNG, after checking its sums."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        kind = png[place + 4 : place + 8]
        body = png[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", png[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 3)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8)
    lines = lines.reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:], np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)


def test_png_holds_the_values():
    values = np.arange(6 * 11, dtype=np.uint8).reshape(6, 11)
    np.testing.assert_array_equal(decoded(picture.png(values))[0], values)


def test_palette_gets_brighter():
    _, palette = decoded(picture.png(np.zeros((1, 1), np.uint8)))
    assert len(palette) == 256
    lightness = palette @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness) > -0.5).all()


def test_spectrogram_puts_low_frequencies_at_the_bottom():
    values = np.zeros((64, 20), np.uint8)
    values[0] = 255
    stored = {"shape": [64, 20], "values": base64.b64encode(values.tobytes()).decode()}
    head, _, body = picture.spectrogram(stored).partition(",")
    assert head == "data:image/png;base64"
    shown, _ = decoded(base64.b64decode(body))
    assert (shown[-1] == 255).all()
    assert (shown[:-1] == 0).all()
