"""The names in params.yaml, looked up before the first stage.

No stage imports this module, so that none of them depends on every part.
"""

from rehear.catalogue import Catalogue
from rehear.errors import ParamsError
from rehear.params import FILE, Params, Part


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

    named: list[tuple[str, Catalogue, Part]] = [
        ("dataset", DATASETS, params.dataset),
        ("model", MODELS, params.model),
    ]
    for index, part in enumerate(params.preprocess.transforms):
        named.append((f"preprocess.transforms.{index}", TRANSFORMS, part))
    named += [(f"augment.{i}", AUGMENTATIONS, p) for i, p in enumerate(params.augment)]
    if params.train.loss:
        named.append(("train.loss", LOSSES, params.train.loss))
    for key, catalogue, part in named:
        if part["name"] not in catalogue.names():
            raise ParamsError(f"{FILE}: {key}: {catalogue.unknown(part['name'])}")
