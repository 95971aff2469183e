"""What clips' files hold: sound, arrays and images."""

import io
import struct
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from rehear import audio, inputs
from rehear.errors import AudioError


def draws(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def packed(folder, kind, **files):
    """Write files (name: path) to an archive of a kind, return its path."""
    archive = folder / f"packed.{kind.removeprefix('stored.')}"
    if kind == "tar":
        with tarfile.open(archive, "w") as tar:
            for name, path in files.items():
                tar.add(path, name)
        return archive
    stored = kind.startswith("stored")
    with zipfile.ZipFile(archive, "w", 0 if stored else 8) as stream:
        for name, path in files.items():
            stream.write(path, name)
    return archive


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.wav", "waveform"),
        ("a.npy", "features"),
        ("a.npy.wav", "waveform"),
        ("a-1.2-b.NPY", "features"),
        ("x.zip::folder/a.PnG", "features"),
        ("x.png/a.flac", "waveform"),
        ("images.zip::a.m4a", "waveform"),
        ("no_ending", "waveform"),
        ("", "waveform"),
    ],
)
def test_endings_tell_what_a_file_holds(name, kind):
    assert inputs.kind(name) == kind
    assert inputs.is_sound(name) == (kind == "waveform")


def test_sound_is_read_as_sound(tmp_path):
    audio.write(tmp_path / "a.wav", draws(2, 8000) / 8, 8000)
    for part in ((), (0.25,), (0.25, 0.5)):
        got, rate = inputs.read(tmp_path / "a.wav", *part)
        expected, _ = audio.read(tmp_path / "a.wav", *part)
        np.testing.assert_array_equal(got, expected)
        assert rate == 8000


@pytest.mark.parametrize(
    "dtype", ["<f4", ">f4", "<f8", "<f2", "u1", "<i2", "<i8", "?", "<u8"]
)
@pytest.mark.parametrize("shape", [(64,), (1, 64, 50), (3, 4, 5, 6)])
def test_array_is_read_as_it_is_stored(tmp_path, dtype, shape):
    values = (100 * np.abs(draws(*shape))).astype(dtype)
    np.save(tmp_path / "a-1.2-b.npy", values)
    got, rate = inputs.read(tmp_path / "a-1.2-b.npy")
    assert rate == 0
    assert got.dtype == np.float32
    assert got.shape == shape
    np.testing.assert_array_equal(got, values.astype(np.float32))


def test_array_in_fortran_order_keeps_its_axes(tmp_path):
    values = np.asfortranarray(draws(5, 7))
    np.save(tmp_path / "a.npy", values)
    got, _ = inputs.read(tmp_path / "a.npy")
    np.testing.assert_array_equal(got, values)
    assert got.flags.c_contiguous


def test_array_of_float32_is_mapped_and_not_copied(tmp_path):
    np.save(tmp_path / "a.npy", draws(64))
    got, _ = inputs.read(tmp_path / "a.npy")
    assert not got.flags.writeable
    assert isinstance(got.base, np.memmap)


@pytest.mark.parametrize("kind", ["tar", "zip", "stored.zip"])
def test_members_of_archives_are_read_like_files(tmp_path, kind):
    np.save(tmp_path / "a.npy", draws(3, 64))
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10)).save(
        tmp_path / "a.png"
    )
    files = {f"x/a.{ending}": tmp_path / f"a.{ending}" for ending in ("npy", "png")}
    archive = packed(tmp_path, kind, **files)
    for name, path in files.items():
        got, rate = inputs.read(f"{archive}::{name}")
        np.testing.assert_array_equal(got, inputs.read(path)[0])
        assert rate == 0


class Trap:
    def __reduce__(self):
        return sys.exit, ("unpickled",)


def write_object(path):
    np.save(path, np.array([Trap()]), allow_pickle=True)


def write_npz(path):
    with path.open("wb") as stream:
        np.savez(stream, a=draws(3))


def write_truncated(path):
    np.save(path, draws(64))
    path.write_bytes(path.read_bytes()[:-10])


def write_huge(path):
    with path.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (2**60,)}
        np.lib.format.write_array_header_1_0(stream, header)


REFUSED_ARRAYS = [
    (write_object, "no array that can be read"),
    (write_npz, "no array that can be read"),
    (write_truncated, "no array that can be read"),
    (write_huge, "no array that can be read"),
    (lambda path: path.write_bytes(b""), "empty \\(0 bytes\\)"),
    (lambda path: path.write_bytes(b"hello"), "no array that can be read"),
    (lambda path: np.save(path, np.float32(3)), "holds no features"),
    (lambda path: np.save(path, draws(0, 5)), "holds no features"),
    (lambda path: np.save(path, draws(3) + 1j), "complex64 values"),
    (lambda path: np.save(path, np.array(["a"])), "real numbers"),
    (lambda path: np.save(path, np.zeros(2, "<f4,<f4")), "real numbers"),
    (lambda path: np.save(path, np.zeros(2, "M8[s]")), "real numbers"),
    (lambda path: np.save(path, np.array([1, np.nan, np.inf])), "2 of 3 values"),
    (lambda path: np.save(path, np.array([1e300])), "beyond float32"),
]


@pytest.mark.parametrize(("write", "reason"), REFUSED_ARRAYS)
@pytest.mark.parametrize("inside", [False, True])
def test_unusable_array_is_refused(tmp_path, write, reason, inside):
    path = tmp_path / "bad.npy"
    write(path)
    if inside:
        path = f"{packed(tmp_path, 'zip', **{'bad.npy': path})}::bad.npy"
    with pytest.raises(AudioError, match=f"bad.npy: .*{reason}") as caught:
        inputs.read(path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(AudioError, match=r"a\.npy: the file does not exist"):
        inputs.read(tmp_path / "a.npy")


@pytest.mark.parametrize(("name", "what"), [("a.npy", "array"), ("a.png", "image")])
@pytest.mark.parametrize("part", [(0.0, None), (None, 1.0), (1.0, 2.0)])
def test_part_of_what_is_no_sound_is_refused(tmp_path, name, what, part):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(AudioError, match=f"is an {what}, which has no start and end"):
        inputs.read(tmp_path / name, *part)


def picture(mode, colours):
    image = Image.new(mode, (3, 2))
    image.putdata(colours)
    return image


GREYS = [0, 51, 102, 153, 204, 255]
COLOURS = [(g, 255 - g, 0) for g in GREYS]
GREY = np.array(GREYS, np.float32).reshape(1, 2, 3) / 255
COLOUR = np.array(COLOURS, np.float32).reshape(2, 3, 3).transpose(2, 0, 1) / 255
ALPHAS = [255, 0, 51, 255, 255, 255]
ALPHA = np.array(ALPHAS, np.float32).reshape(1, 2, 3) / 255


def with_alpha(colours):
    return [(*np.atleast_1d(c), a) for c, a in zip(colours, ALPHAS, strict=True)]


def palette():
    image = picture("P", [0, 1, 2, 3, 4, 5])
    image.putpalette([value for colour in COLOURS for value in colour])
    return image


def deep():
    return Image.fromarray(np.array(GREYS, np.uint16).reshape(2, 3) * 257)


IMAGES = [
    ("L", "png", lambda: picture("L", GREYS), GREY),
    ("L", "bmp", lambda: picture("L", GREYS), GREY),
    ("L", "tif", lambda: picture("L", GREYS), GREY),
    ("bits", "png", lambda: picture("1", [255 * (g > 99) for g in GREYS]), GREY > 0.39),
    ("RGB", "png", lambda: picture("RGB", COLOURS), COLOUR),
    ("RGB", "bmp", lambda: picture("RGB", COLOURS), COLOUR),
    ("RGB", "tiff", lambda: picture("RGB", COLOURS), COLOUR),
    ("palette", "png", palette, COLOUR),
    ("palette", "tif", palette, COLOUR),
    ("LA", "png", lambda: picture("LA", with_alpha(GREYS)), GREY * ALPHA),
    ("RGBA", "png", lambda: picture("RGBA", with_alpha(COLOURS)), COLOUR * ALPHA),
    ("RGBA", "tif", lambda: picture("RGBA", with_alpha(COLOURS)), COLOUR * ALPHA),
    ("16 bits", "png", deep, GREY),
    ("16 bits", "tif", deep, GREY),
    ("float", "tif", lambda: Image.fromarray(2 * GREY[0] - 1), 2 * GREY - 1),
]


@pytest.mark.parametrize(("mode", "ending", "make", "expected"), IMAGES)
def test_image_is_read_as_numbers_from_0_to_1(tmp_path, mode, ending, make, expected):
    make().save(tmp_path / f"a.{ending}")
    got, rate = inputs.read(tmp_path / f"a.{ending}")
    assert rate == 0
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, expected.astype(np.float32), rtol=0, atol=1e-7)


def test_16_bits_of_a_grey_image_are_kept(tmp_path):
    values = np.arange(0, 65536, 7, dtype=np.uint16).reshape(1, -1)
    Image.fromarray(values).save(tmp_path / "a.png")
    got, _ = inputs.read(tmp_path / "a.png")
    np.testing.assert_allclose(got[0], values / 65535, rtol=0, atol=1e-7)
    assert len(np.unique(got)) == values.size


def test_transparent_colour_of_a_palette_lies_on_black(tmp_path):
    palette().save(tmp_path / "a.png", transparency=0)
    got, _ = inputs.read(tmp_path / "a.png")
    expected = COLOUR.copy()
    expected[:, 0, 0] = 0
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_read(tmp_path, mode):
    white = (0, 0, 0, 0) if mode == "CMYK" else "white"
    Image.new(mode, (20, 10), white).save(tmp_path / "a.jpeg")
    got, _ = inputs.read(tmp_path / "a.jpeg")
    assert got.shape == (1 if mode == "L" else 3, 10, 20)
    np.testing.assert_allclose(got, 1, atol=0.02)


def test_webp_is_read(tmp_path):
    picture("RGB", COLOURS).save(tmp_path / "a.webp", lossless=True)
    got, _ = inputs.read(tmp_path / "a.webp")
    np.testing.assert_allclose(got, COLOUR, rtol=0, atol=1e-7)


def write_many(path):
    frames = [Image.new("L", (3, 2), grey) for grey in (0, 255)]
    frames[0].save(path, format="TIFF", save_all=True, append_images=frames[1:])


def write_32_bits(path):
    Image.fromarray(np.arange(6, dtype=np.int32).reshape(2, 3)).save(path, "TIFF")


def write_half_a_png(path):
    values = np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    path.write_bytes(stream.getvalue()[:1500])


def write_bomb(path):
    """A PNG that claims to be 50,000 pixels wide and high."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 50000, 50000, 8, 0, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(100))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(chunk) - 4)
            + chunk
            + struct.pack(">I", zlib.crc32(chunk))
            for chunk in (header, pixels, b"IEND")
        )
    )


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_many, "holds 2 images"),
        (write_32_bits, "pixels of mode I;"),
        (write_half_a_png, "no image that can be read"),
        (write_bomb, "exceeds limit"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("hello"), "no image that can be read"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "no image that can be"),
    ],
)
def test_unusable_image_is_refused(tmp_path, write, reason):
    write(tmp_path / "bad.tif")
    with pytest.raises(AudioError, match=f"bad.tif: .*{reason}") as caught:
        inputs.read(tmp_path / "bad.tif")
    assert "\n" not in str(caught.value)


def test_image_without_pillow_says_what_to_install(tmp_path, monkeypatch):
    picture("L", GREYS).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(AudioError, match=r"a\.png: .*pip install 'rehear\[images\]'"):
        inputs.read(tmp_path / "a.png")
