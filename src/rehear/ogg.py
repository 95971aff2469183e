"""Whether an Ogg file is whole: decoders pass over a missing end in silence.

Source: RFC 3533, The Ogg Encapsulation Format Version 0, section 6.
"""

from rehear.archives import Source
from rehear.errors import AudioError

_MARK, _LAST = b"OggS", 4  # how a page begins, and the flag of the last one
_HEADER, _LARGEST = 27, 65_307  # bytes of a page


def check_end(source: Source, head: bytes) -> None:
    """Refuse an Ogg file whose last page is not there, or not whole.

    Args:
        source: any file
        head: its first bytes

    Raises:
        AudioError: if it is an Ogg file without its end
    """
    if not head.startswith(_MARK):
        return
    tail = source.read(max(0, source.size - _LARGEST), _LARGEST)
    at = tail.rfind(_MARK)
    page = tail[at:] if at >= 0 else b""
    if len(page) >= _HEADER and page[5] & _LAST:
        lengths = page[_HEADER : _HEADER + page[26]]
        if len(lengths) == page[26] and len(page) >= _HEADER + page[26] + sum(lengths):
            return
    raise AudioError(
        f"{source.name}: truncated: the page that ends the stream is not there; fetch "
        "it again, or skip it"
    )
