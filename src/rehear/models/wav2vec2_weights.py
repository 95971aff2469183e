"""Published weights of wav2vec 2.0, HuBERT and WavLM."""

from typing import Any

from rehear.models.sources import Source, on_hub

_STANDARDISED = {"name": "feature_extractor", "model": "wav2vec2"}
_WAV2VEC2 = (
    "Baevski et al., wav2vec 2.0: a framework for self-supervised learning of speech "
    "representations, NeurIPS 2020"
)
_HUBERT = (
    "Hsu et al., HuBERT: self-supervised speech representation learning by masked "
    "prediction of hidden units, IEEE/ACM TASLP 29, 2021"
)
_WAVLM = (
    "Chen et al., WavLM: large-scale self-supervised pre-training for full stack "
    "speech processing, IEEE JSTSP 16, 2022"
)


def _source(
    name: str,
    *,
    licence: str,
    citation: str,
    revision: str = "main",
    file: str = "pytorch_model.bin",
    standardised: bool = True,
    **rest: Any,
) -> Source:
    return Source(
        name=name,
        url=on_hub(name, file=file, revision=revision),
        licence=licence,
        citation=citation,
        rate=16000,
        front_end=_STANDARDISED if standardised else {},
        **rest,
    )


def _by_name(*sources: Source) -> dict[str, Source]:
    return {source.name: source for source in sources}


SOURCES = {
    "wav2vec2": _by_name(
        _source(
            "facebook/wav2vec2-base",
            revision="0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8",
            sha256="3249fe98bfc62fcbc26067f724716a6ec49d12c4728a2af1df659013905dff21",
            size=380267417,
            licence="Apache-2.0",
            citation=_WAV2VEC2,
            arguments={"architecture": "base"},
        ),
        _source(
            "facebook/wav2vec2-large",
            licence="Apache-2.0",
            citation=_WAV2VEC2,
            arguments={"architecture": "large"},
        ),
        _source(
            "facebook/wav2vec2-large-robust",
            licence="Apache-2.0",
            citation="Hsu et al., Robust wav2vec 2.0: analyzing domain shift in "
            "self-supervised pre-training, Interspeech 2021",
            arguments={"architecture": "large-robust"},
        ),
        _source(
            "facebook/wav2vec2-large-100k-voxpopuli",
            licence="CC-BY-NC-4.0",
            citation="Wang et al., VoxPopuli: a large-scale multilingual speech corpus "
            "for representation learning, semi-supervised learning and "
            "interpretation, ACL 2021",
            arguments={"architecture": "large-robust"},
        ),
        _source(
            "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
            file="model.safetensors",
            revision="6eba34a2485ea31cb03600241787c3a5edab8626",
            sha256="efa5ac1a13b2d2f42182738e44794b1eb4c0cdd221a8b4ae11304c3a5f5fae95",
            size=661375508,
            licence="CC-BY-NC-SA-4.0",
            citation="Wagner et al., Dawn of the transformer era in speech emotion "
            "recognition: closing the valence gap, IEEE TPAMI 45, 2023",
            arguments={"architecture": "large-robust", "num_hidden_layers": 12},
        ),
    ),
    "hubert": _by_name(
        _source(
            "facebook/hubert-base-ls960",
            revision="dba3bb02fda4248b6e082697eee756de8fe8aa8a",
            sha256="062249fffb353eab67547a2fbc129f7c31a2f459faf641b19e8fb007cc5c48ad",
            size=377569754,
            licence="Apache-2.0",
            citation=_HUBERT,
            arguments={"architecture": "base"},
        ),
        _source(
            "facebook/hubert-large-ll60k",
            revision="ff022d095678a2995f3c49bab18a96a9e553f782",
            licence="Apache-2.0",
            citation=_HUBERT,
            arguments={"architecture": "large"},
        ),
    ),
    "wavlm": _by_name(
        _source(
            "microsoft/wavlm-base",
            revision="efa81aae7ff777e464159e0f877d54eac5b84f81",
            licence="CC-BY-SA-3.0",
            citation=_WAVLM,
            standardised=False,
            arguments={"architecture": "base"},
        ),
        _source(
            "microsoft/wavlm-base-plus",
            revision="4c66d4806a428f2e922ccfa1a962776e232d487b",
            sha256="3bb273a6ace99408b50cfc81afdbb7ef2de02da2eab0234e18db608ce692fe51",
            size=377617425,
            licence="CC-BY-SA-3.0",
            citation=_WAVLM,
            standardised=False,
            arguments={"architecture": "base"},
        ),
        _source(
            "microsoft/wavlm-large",
            revision="c1423ed94bb01d80a3f5ce5bc39f6026a0f4828c",
            sha256="fdee460e529396ddb2f8c8e8ce0ad74cfb747b726bc6f612e666c7c1e1963c9d",
            size=1261990257,
            licence="CC-BY-SA-3.0",
            citation=_WAVLM,
            arguments={"architecture": "large"},
        ),
    ),
}
