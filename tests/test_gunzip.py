import gzip
import os

import pytest

from rehear.errors import DataError
from rehear.gunzip import decompress, least_size


def test_decompress_gives_all_members_of_a_gzip_file(tmp_path):
    packed = tmp_path / "a.gz"
    plain = [os.urandom(5000), b"x" * 3_000_000, b""]
    packed.write_bytes(b"".join(map(gzip.compress, plain)) + b"\0" * 512)
    decompress(packed, tmp_path / "a", limit=4_000_000)
    assert (tmp_path / "a").read_bytes() == b"".join(plain)


def test_compression_bomb_is_refused(tmp_path):
    packed = tmp_path / "bomb.gz"
    with gzip.open(packed, "wb") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 20))
    with pytest.raises(DataError, match=r"a: more than 1,000,000 bytes"):
        decompress(packed, tmp_path / "a", limit=1_000_000)
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.gz"]


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:-5] + b"xxxxx"])
def test_damaged_gzip_file_is_refused(tmp_path, damage):
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(os.urandom(9000))))
    with pytest.raises(DataError, match=r"a: the gzip file is damaged"):
        decompress(tmp_path / "a.gz", tmp_path / "a", limit=1 << 20)
    assert not (tmp_path / "a").exists()


def test_decompression_can_be_ended(tmp_path):
    def check():
        raise KeyboardInterrupt

    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 99))
    with pytest.raises(KeyboardInterrupt):
        decompress(tmp_path / "a.gz", tmp_path / "a", limit=99, check=check)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]


@pytest.mark.parametrize(
    "plain", [b"x" * 70_000, os.urandom(70_000), b""], ids=["x", "random", "empty"]
)
def test_least_size_is_one(tmp_path, plain):
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(plain))
    assert least_size(packed) == max(len(plain), packed.stat().st_size)
