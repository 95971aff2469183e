"""The names in params.yaml, looked up before the first stage.

No stage imports this module, so that none of them depends on every part.
"""

from collections.abc import Iterator

from rehear.catalogue import Catalogue, Spec, is_spec, name_of
from rehear.errors import ParamsError
from rehear.params import FILE, Params


def check(params: Params) -> None:
    """Refuse misspelt parts before the first stage, not before the one that fails.

    Only names are looked up, in tables that import nothing.

    Raises:
        ParamsError: if a part does not exist; the text names its key
    """
    from rehear.augmentations import AUGMENTATIONS
    from rehear.datasets import DATASETS
    from rehear.losses import LOSSES
    from rehear.models import MODELS
    from rehear.transforms import TRANSFORMS

    named: list[tuple[str, Catalogue, Spec]] = [
        ("dataset", DATASETS, params.dataset),
        ("model", MODELS, params.model),
    ]
    for index, part in enumerate(params.preprocess.transforms):
        named.append((f"preprocess.transforms.{index}", TRANSFORMS, part))
    for index, part in enumerate(params.augment):
        named.append((f"augment.{index}", AUGMENTATIONS, part))
    if params.train.loss:
        named.append(("train.loss", LOSSES, params.train.loss))
    while named:
        key, catalogue, spec = named.pop(0)
        if name_of(spec) not in catalogue.names():
            raise ParamsError(f"{FILE}: {key}: {catalogue.unknown(name_of(spec))}")
        if catalogue in (TRANSFORMS, AUGMENTATIONS):
            inside = _inside(spec)
            named += [(f"{key}.{at}", catalogue, child) for at, child in inside]


def _inside(part: Spec) -> Iterator[tuple[str, Spec]]:
    """Yield the parts of nodes such as ``sequence``, without importing those."""
    inside = None if isinstance(part, str) else part.get("parts")
    for index, child in enumerate(inside if isinstance(inside, list) else ()):
        if is_spec(child):
            yield f"parts.{index}", child
