"""From the name of a part in params.yaml to the object that it stands for.

A catalogue is a table, written out as a literal where the parts of its kind
live. Nothing outside the table can be built, so a name from a file never
imports or runs anything else.
"""

import importlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from rehear.errors import ParamsError, suggest

Spec = str | Mapping[str, Any]
PLACEMENT = frozenset({"name", "order", "splits", "online"})
SPLITS = ("train", "dev", "test")
EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}
_PLURALS = {
    bool: "true or false",
    int: "whole numbers",
    float: "numbers",
    str: "texts",
}


def is_spec(value: Any) -> bool:
    """Tell whether a value has the form of a part: a name, or a mapping with one."""
    if isinstance(value, Mapping):
        return isinstance(value.get("name"), str)
    return isinstance(value, str)


def name_of(spec: Spec) -> str:
    """Return the name in a part such as ``{name: log_mel, n_mels: 64}``."""
    return spec if isinstance(spec, str) else str(spec["name"])


def arguments_of(spec: Spec) -> dict[str, Any]:
    """Return the arguments of a part, without its name and placement."""
    if isinstance(spec, str):
        return {}
    return {key: value for key, value in spec.items() if key not in PLACEMENT}


def misplaced(spec: Spec) -> tuple[str, str] | None:
    """Return the key that places a part wrongly, and what is wrong with it."""
    if isinstance(spec, str):
        return None
    splits = spec.get("splits", SPLITS)
    listed = isinstance(splits, list | tuple) and len(splits) > 0
    expected = {
        "online": misfit(bool, spec.get("online", False)),
        "order": misfit(float, spec.get("order", 0)),
        "splits": ""
        if listed and all(split in SPLITS for split in splits)
        else f"a list of {', '.join(SPLITS)}",
    }
    for key, words in expected.items():
        if words:
            return key, f"expected {words}, found {spec[key]!r}"
    return None


def misfit(hint: Any, value: Any) -> str:
    """Return what was expected where a value is not of a simple type, else ``""``.

    Other types than numbers, truth values, text and tuples of them are left to
    the part itself.

    Args:
        hint: annotation of the argument
        value: as YAML gives it
    """
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        misfits = [misfit(kind, value) for kind in typing.get_args(hint)]
        return " or ".join(misfits) if all(misfits) else ""
    if hint is type(None):
        return "" if value is None else "null"
    if typing.get_origin(hint) is tuple:
        return _misfit_of_list(typing.get_args(hint), value)
    if hint is float and type(value) in (int, float):
        return "" if math.isfinite(value) else "a finite number"
    return "" if type(value) is hint else EXPECTED.get(hint, "")


def _misfit_of_list(kinds: tuple[Any, ...], value: Any) -> str:
    """Return what was expected where values are not of the kinds of a tuple."""
    listed = isinstance(value, list | tuple)
    if Ellipsis in kinds:
        fits = listed and not any(misfit(kinds[0], item) for item in value)
        return "" if fits else f"a list of {_PLURALS.get(kinds[0], 'values')}"
    fits = listed and len(value) == len(kinds) and not any(map(misfit, kinds, value))
    return "" if fits else f"a list of {len(kinds)} values"


class Catalogue:
    """The parts of one kind, by name.

    Args:
        kind: what the parts are, in the singular, for messages: ``"transform"``
        table: name → ``"package.module:Attribute"``, imported when first used
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table: dict[str, str | Callable[..., Any]] = dict(table)

    def add(self, name: str, part: Callable[..., Any] | str) -> None:
        """Add a study's own part.

        Args:
            name: as it will stand in params.yaml
            part: the class or function, or ``"package.module:Attribute"``,
                which is imported when it is first used

        Raises:
            ParamsError: if the name is taken
        """
        if self._table.get(name, part) != part:
            raise ParamsError(
                f"{self.kind} '{name}' exists already; give your own part in "
                "parts.py another name"
            )
        self._table[name] = part

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._table)

    def get(self, name: str) -> Callable[..., Any]:
        """Return the class or function behind ``name``.

        Raises:
            ParamsError: if there is no such part
        """
        entry = self._table.get(name)
        if entry is None:
            raise ParamsError(self.unknown(name))
        if isinstance(entry, str):
            module, attribute = entry.split(":")
            # The string is a literal of this package, never one from a file.
            loaded = importlib.import_module(module)  # noqa: TID251
            entry = self._table[name] = getattr(loaded, attribute)
        return entry

    def unknown(self, name: str) -> str:
        """Return what to say of a name that is not here."""
        return (
            f"unknown {self.kind} '{name}'.{suggest(name, self._table)} "
            f"Known: {', '.join(self.names())}"
        )

    def signature(self, name: str) -> Mapping[str, inspect.Parameter]:
        """Return the parameters of the part called ``name``."""
        return inspect.signature(self.get(name)).parameters

    def check(self, spec: Spec, *, given: Collection[str] = ()) -> None:
        """Check a part's name and arguments without building it.

        Args:
            spec: the part as it stands in params.yaml
            given: names of arguments that the program supplies

        Raises:
            ParamsError: unknown name, unknown argument, one of a wrong type, or
                one that the program supplies; for parts inside a part, with
                their key
        """
        name = name_of(spec)
        parameters = self.signature(name)
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        settable = [key for key in _named(parameters) if key not in given]
        for argument, value in arguments_of(spec).items():
            if argument in given:
                raise ParamsError(
                    f"{self.kind} '{name}': '{argument}' is set by the program; "
                    "remove it"
                )
            if argument not in settable and not open_ended:
                raise ParamsError(
                    f"{self.kind} '{name}' has no argument '{argument}'."
                    f"{suggest(argument, settable)} It takes: "
                    f"{', '.join(settable) or 'none'}"
                )
            self._check_type(name, argument, value)
        for argument, value in self._lists(spec):
            self._check_list(name, argument, value, given)

    def _lists(self, spec: Spec) -> Iterable[tuple[str, Any]]:
        """Return the arguments that are lists of parts, which ``nested`` names."""
        names = getattr(self.get(name_of(spec)), "nested", ())
        return ((name, arguments_of(spec).get(name, [])) for name in names)

    def _check_list(
        self, name: str, argument: str, value: Any, given: Collection[str]
    ) -> None:
        if not isinstance(value, list) or not value:
            raise ParamsError(
                f"{self.kind} '{name}': {argument}: expected a list of parts, at least "
                f"one, found {value!r}"
            )
        for index, child in enumerate(value):
            try:
                self._check_child(name, child)
                self.check(child, given=given)
            except ParamsError as error:
                raise error.within(f"{argument}.{index}") from None

    def _check_child(self, name: str, child: Any) -> None:
        if not is_spec(child):
            raise ParamsError(
                f"expected a name, or {{name: …}} with arguments, found {child!r}"
            )
        if isinstance(child, Mapping) and (placed := PLACEMENT & {*child} - {"name"}):
            raise ParamsError(
                f"{', '.join(sorted(placed))} cannot stand inside '{name}', whose "
                f"parts keep together; give it to '{name}' itself"
            )
        if getattr(self.get(name_of(child)), "batch", False):
            raise ParamsError(
                f"{self.kind} '{name_of(child)}' mixes the clips of a batch and cannot "
                f"stand inside '{name}', which changes one clip; give it an entry of "
                "its own"
            )

    def _check_type(self, name: str, argument: str, value: Any) -> None:
        parameter = self.signature(name).get(argument)
        if parameter is None or value is parameter.default:
            return
        expected = misfit(parameter.annotation, value)
        if expected:
            raise ParamsError(
                f"{self.kind} '{name}': {argument}: expected {expected}, found "
                f"{value!r}"
            )

    def build(self, spec: Spec, **given: Any) -> Any:
        """Build a part.

        Args:
            spec: the part as it stands in params.yaml
            given: what the program supplies; only what the part asks for in
                its signature is passed

        Raises:
            ParamsError: as ``check``, or if the part refuses its arguments
        """
        self.check(spec, given=given)
        name = name_of(spec)
        parameters = self.signature(name)
        asked = {key: value for key, value in given.items() if key in parameters}
        try:
            return self.get(name)(**arguments_of(spec), **asked)
        except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ParamsError(f"{self.kind} '{name}': {reason}") from error

    def files(self, specs: Iterable[Spec]) -> Iterator[tuple[str, str]]:
        """Yield name and path of all files and folders that parts read.

        A part's ``reads`` names those of its arguments that are paths, relative
        to the study; ``nested`` those that hold further parts.
        """
        for spec in specs:
            arguments = arguments_of(spec)
            for argument in getattr(self.get(name_of(spec)), "reads", ()):
                if arguments.get(argument):
                    yield name_of(spec), str(arguments[argument])
            for _, children in self._lists(spec):
                yield from self.files(children)

    def resolve(self, spec: Spec, *, given: Collection[str] = ()) -> dict[str, Any]:
        """Return the part with every argument written out, defaults included."""
        placement = {} if isinstance(spec, str) else dict(spec)
        defaults = {
            key: parameter.default
            for key, parameter in self.signature(name_of(spec)).items()
            if parameter.default is not parameter.empty and key not in given
        }
        return {"name": name_of(spec), **defaults, **placement}


def _named(parameters: Mapping[str, inspect.Parameter]) -> Iterable[str]:
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return (key for key, p in parameters.items() if p.kind not in variadic)
