"""Drawing train, dev and test splits, and cross-validation folds."""

from collections.abc import Sequence
from dataclasses import replace

from rehear import leakage
from rehear.division import divide
from rehear.errors import DataError, suggest
from rehear.manifest import Manifest

NO_FOLD = "none"


def link(manifest: Manifest, copies: Sequence[tuple[str, str]]) -> Manifest:
    """Write in every clip of which recording it is a copy.

    Whatever is drawn later, also the dev split of a fold, then keeps copies together.

    Args:
        manifest: with digests of samples, by which identical clips are known
        copies: pairs of clips, by their ids
    """
    if not copies:
        return manifest
    content = {clip.clip: clip.sha256 or clip.clip for clip in manifest}
    same = leakage.linked(
        (content[one], content[other])
        for one, other in copies
        if one in content and other in content
    )
    first: dict[str, str] = {}
    clips = tuple(
        replace(clip, copies=first.setdefault(same[content[clip.clip]], clip.clip))
        if content[clip.clip] in same
        else clip
        for clip in manifest
    )
    return replace(manifest, clips=clips)


def draw(
    manifest: Manifest,
    *,
    dev: float,
    test: float,
    seed: int,
) -> Manifest:
    """Fill in the splits that a data set does not define.

    Without any split, train, dev and test are drawn; otherwise the missing ones
    are drawn from train: whole groups, unless the given splits share groups. A
    data set that defines folds instead of splits stays as it is, since
    ``for_fold`` makes its splits.

    Args:
        manifest: clips with or without splits
        dev: share for dev of the clips that are divided; 0 for no dev split
        test: share for test; 0 for no test split
        seed: another seed gives another division

    Raises:
        DataError: if only some of the clips have a split, none is for training,
            or there are fewer groups than splits
    """
    given = {clip.split for clip in manifest}
    if "" in given and any(clip.fold for clip in manifest):
        return manifest
    if "" in given and len(given) > 1:
        blank = next(clip.clip for clip in manifest if not clip.split)
        raise DataError(
            f"clip '{blank}' has no split, though others have one; give a split to "
            "every clip, or to none"
        )
    if given and "" not in given and "train" not in given:
        raise DataError(
            f"no clip is for training: the splits are {', '.join(sorted(given))}; "
            "give some clips the split 'train'"
        )
    asked = {"dev": dev, "test": test}
    shares = {name: s for name, s in asked.items() if s > 0 and name not in given}
    if not shares and given != {""}:
        return manifest
    pool = [clip for clip in manifest if clip.split in ("", "train")]
    shares = {"train": 1 - sum(shares.values()), **shares}
    drawn = pool
    if _shares_groups(manifest):
        drawn = [replace(clip, group="") for clip in pool]
    parts = iter(divide(drawn, shares, seed=seed, purpose="splits"))
    clips = tuple(
        clip.moved(split=next(parts)) if clip.split in ("", "train") else clip
        for clip in manifest
    )
    return replace(manifest, clips=clips)


def _shares_groups(manifest: Manifest) -> bool:
    """Say whether given splits have groups in common.

    A protocol that tests on the groups that it trains on must not lose some of
    them to a drawn split: the test split would then hold groups never heard.
    """
    groups: dict[str, set[str]] = {}
    for clip in manifest:
        if clip.split and clip.group:
            groups.setdefault(clip.split, set()).add(clip.group)
    train = groups.pop("train", set())
    return any(train & others for others in groups.values())


def draw_folds(
    manifest: Manifest,
    folds: int,
    *,
    seed: int,
) -> Manifest:
    """Draw cross-validation folds, named ``1`` to ``folds``.

    Clips that the data set holds out by the split ``test`` get a fold as well:
    in cross-validation, every clip is tested once. Folds that are given stay.

    Args:
        manifest: clips, with groups where there are any
        folds: number of folds, at least 2; 0 leaves the manifest as it is
        seed: another seed gives other folds

    Raises:
        DataError: if there are fewer groups than folds, or one fold is asked for
    """
    if folds == 0 or any(clip.fold for clip in manifest):
        return manifest
    if folds < 2:
        raise DataError(f"fetch.split.folds is {folds}; expected 0 or at least 2")
    shares = {str(number + 1): 1 / folds for number in range(folds)}
    parts = divide(manifest.clips, shares, seed=seed, purpose="folds")
    clips = zip(manifest, parts, strict=True)
    return replace(manifest, clips=tuple(clip.moved(fold=part) for clip, part in clips))


def for_fold(manifest: Manifest, fold: str, *, dev: float, seed: int) -> Manifest:
    """Return the splits of one cross-validation run.

    The clips of ``fold`` are the test split, the other folds train, from which
    dev is drawn. Clips without a fold are used for training, unless the data
    set holds them out as dev or test: then they are left out.

    Args:
        manifest: clips with folds
        fold: name of a fold; ``none`` returns the manifest with its own splits
        dev: share of the remaining clips for the dev split; 0 for none
        seed: another seed gives another dev split

    Raises:
        DataError: if there is no such fold, or ``none`` is asked for and the
            clips have no splits
    """
    folds = sorted({clip.fold for clip in manifest if clip.fold})
    if fold == NO_FOLD:
        if any(not clip.split for clip in manifest):
            raise DataError(
                "the data set defines folds but no splits; set folds: "
                f"[{', '.join(folds)}] in params.yaml"
            )
        return manifest
    if fold not in folds:
        raise DataError(
            f"unknown fold '{fold}'.{suggest(fold, folds)} The manifest has: "
            f"{', '.join(folds) or 'none; set fetch.split.folds to draw some'}"
        )
    clips = tuple(
        clip.moved(split="test" if clip.fold == fold else "train")
        for clip in manifest
        if clip.fold or clip.split in ("", "train")
    )
    if dev <= 0:
        return replace(manifest, clips=clips)
    pool = [clip for clip in clips if clip.split == "train"]
    shares = {"train": 1 - dev, "dev": dev}
    parts = iter(divide(pool, shares, seed=seed, purpose=f"dev of fold {fold}"))
    clips = tuple(
        clip.moved(split=next(parts)) if clip.split == "train" else clip
        for clip in clips
    )
    return replace(manifest, clips=clips)
