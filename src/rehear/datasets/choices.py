"""Arguments of data sets that choose from what there is."""

from collections.abc import Collection, Iterable

from rehear.errors import ParamsError, suggest


def one(argument: str, value: object, known: Collection[str]) -> str:
    """Return ``value``, if it is known.

    Args:
        argument: name of the argument, for the message
        value: as it stands in params.yaml
        known: what may be chosen

    Raises:
        ParamsError: if it is not known
    """
    text = str(value)
    if text not in known:
        raise ParamsError(
            f"dataset.{argument}: unknown '{text}'.{suggest(text, known)} Known: "
            f"{', '.join(known)}"
        )
    return text


def some(argument: str, values: Iterable[object], known: Collection[str]) -> list[str]:
    """Return the chosen ones in the order of ``known``; all, if none is chosen.

    Args:
        argument: name of the argument, for the message
        values: as they stand in params.yaml: a list, or one text
        known: what may be chosen

    Raises:
        ParamsError: if one is not known
    """
    listed = [values] if isinstance(values, str) else values
    chosen = {one(argument, value, known) for value in listed}
    return [name for name in known if name in chosen or not chosen]
