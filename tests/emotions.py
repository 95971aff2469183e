"""The archive of EmoDB: its recordings by name, and others in their place."""

import io
import wave
import zipfile

import numpy as np

# All recordings of the archive: speaker, then sentence with emotion and version.
PUBLISHED = """
03 a01 Fa Nc Wa a02 Fc Nc Ta Wb Wc a04 Ad Fd Lc Nc Ta Wc a05 Aa Fc Nd Tc Wa Wb
03 a07 Fa Fb La Nc Wc b01 Fa Lb Nb Td Wa Wc b02 Aa La Na Tb Wb b03 Nb Tc Wc
03 b09 La Nc Tc Wa b10 Ab Ec Na Nc Wb Wc
08 a01 Ab Fd Lc Na Wa Wc a02 Ab Ac Fe La Na Tb Wc a04 Ff La Nc Tb Wc
08 a05 Fe Lc Nb Ta Wa a07 Fd La Na Ta Tb Wc b01 Aa Fd Fe Lb Na Wa b02 Ff La Nb Tc Wd
08 b03 Fe Lc Nb Tc Wd b09 Ab Fd Lc Nb Tb Wa Wc b10 Aa Fd La Nc Tc Wa
09 a01 Ea Fa Nb Wb a02 Ea Eb La Wb a04 Fd La Nb Wa a05 Ed Lc Nb Tb Wb Wc
09 a07 Eb Na Ta Wb Wd b01 Ea Na Wb b02 Na Tb Wc Wd b03 Ed Fa Fd Lb Nb Ta Wb
09 b09 Ea Nd Wa b10 Aa Nd Wa
10 a01 Ac Nb Wa a02 Ab Fa Lb Na Wa a04 Fd Nb Wa Wb a05 Aa Ld Tb Wb a07 Aa Ad La Ta Wb
10 b01 Aa Ea Fa Lb b02 Aa La Na Wb b03 La Tb Wb b09 Ad Lb Wb b10 Fc Lc Wa
11 a01 Aa Ab Ld Nd Wc a02 Ec Fb Ld Nc Tc Wc a04 Ac Fd Nd Wc a05 Ad Fb Fc Lc Na Td Wd
11 a07 Ac Ld Ta Wc b01 Ab Eb Fc Lb Nc Wd b02 Ab Fd Na Td Wb b03 Fc Lc Nb Td Wa Wb
11 b09 Ad Fd Ld Na Td Wa b10 Ad Ae Ld Nc Td Wa
12 a01 Fb Lb Nb Wc a02 Ac Ec Nb Wa Wc a04 Wc a05 Ab Lb Nd Ta Wb a07 Ac La Wa
12 b01 Ta Wa b02 Ad Ea Fb Na Wa Wb Wd b03 La Ta b09 Ac Td Wc b10 Ac Ld Wa
13 a01 Ac Ea Ec Fd Lb Nb Wb a02 Ad Ec Fa Lc Nc Ta Wa a04 Ac Fc Lb Ta Wc
13 a05 Aa Ea Lc Nb Tc Wa Wc a07 Fd Lb Na Tc Wb b01 Ab Ec Fc Ld Nc Wa b02 Fb Lc Nb Wa
13 b03 Ac Ed Fd Lb Na Td Wc b09 Ab Ec Fb Fc La Na Wa b10 Ec Fa La Nc Wa Wc
14 a01 Aa Ac Ea Na Wa Wc a02 Ab Ea Fd La Nc Tb Wa Wc a04 Aa Ed Lb Tb Tc Wb Wc
14 a05 Aa Ac Fa Fb Lb Na Ta Tc Wa Wb a07 Aa Eb Fd Lc Ld Na Tc Wc b01 Ac Eb Fa Fc Na Wc
14 b02 Aa Fb Na Tc Wb Wd b03 Ad Ed Lb Ta Wb b09 Ac Ea Fc Lb Td Wa Wc
14 b10 Ad Eb Lb Nb Tc Wc
15 a01 Ea Fb La Nb Wa a02 Ac Ea La Na Ta Wb Wd a04 Ab Ac Fd Nc Wa Wb
15 a05 Eb Fb Lb Na Wa a07 Ac Eb Fa Fb Ld Nc b01 Ec Lb Na Wc b02 Aa Lb Nd Tc Wa Wc
15 b03 Aa Lc Nb Tc Wa Wb b09 Ac Fa La Nb Ta Wb b10 Ac Lc Nb Nc Wa
16 a01 Ec Fc Lb Nc Tb Wb a02 Ea Ec Lb Nb Tc Wb a04 Ab Ea Fa La Lc Nc Tc Wb Wc
16 a05 Ab Ea Fc La Tb Wb Wc a07 Ea Fa Fb La Lb Nb Td Wa b01 Aa Eb Fa La Lc Tb Wa Wb
16 b02 Aa Eb Fd Lb Wb b03 Ad Ea Fa Fd La Nb Ta Wb b09 Ab Eb Fb La Lb Wb
16 b10 Aa Eb Fb Lb Tb Td Wa Wb
"""


def published():
    for line in PUBLISHED.split("\n"):
        speaker, *codes = line.split() or [""]
        for code in codes:
            if len(code) == 3:
                sentence = code
            else:
                yield speaker + sentence + code


def noise(number):
    """Return a short recording that no other is like."""
    generator = np.random.default_rng(number)
    envelope = np.repeat(generator.uniform(0, 0.3, 30), 160)
    samples = envelope * generator.standard_normal(4800)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes((samples * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return stream.getvalue()


def packed(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return stream.getvalue()
