"""What the augmentations that wrap a library have in common.

A class is named in params.yaml, and looked up in one public namespace of the
library, among the subclasses of its base class; nothing else can be named.
"""

import enum
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from rehear.augmentations import chance
from rehear.augmentations.seeding import quiet, seeded
from rehear.errors import DataError, ParamsError, RehearError, suggest
from rehear.signals import IMAGE, SAME, SPECTROGRAM


class External:
    """A random change by a class of another library.

    A subclass has one library: it imports it in ``library`` and calls its class
    in ``apply``.

    Args:
        transform: name of the class
        p: probability that a clip is changed
        settings: arguments of the class, as YAML gives them
        forced: arguments of the class that the program sets, where it has them

    Raises:
        ParamsError: if there is no such class or argument, the class refuses an
            argument, or a package is not installed
    """

    gives = SAME
    name: ClassVar[str]
    unusable: ClassVar[Mapping[str, str]]  # class → why it cannot be used
    defaults: ClassVar[Mapping[str, Any]] = {}  # of arguments that have none
    stretches: ClassVar[bool] = False  # whether other lengths are made to fit
    numpy: ClassVar[bool] = False  # whether it draws from NumPy's global generator

    def __init__(
        self,
        transform: str,
        p: float,
        settings: Mapping[str, Any],
        forced: Mapping[str, Any],
    ) -> None:
        self.transform, self.p = transform, chance.probability(p)
        with quiet():
            namespace, base = self.library()
        cls = self._find(namespace, base, transform)
        self._part = self._make(cls, self._arguments(cls, settings, forced))

    def library(self) -> tuple[Any, type]:
        """Return the namespace that holds the classes, and their base class."""
        raise NotImplementedError

    def admit(self, x: np.ndarray) -> None:
        """Refuse an array that the class would spoil."""

    def apply(self, x: np.ndarray, generator: np.random.Generator) -> Any:
        """Return a changed copy; may keep or change ``x``."""
        raise NotImplementedError

    def convert(self, key: str, value: Any, default: Any) -> Any:
        """Return an argument as the class takes it.

        Lists become tuples; members of enumerations are given by name.
        """
        if isinstance(value, list | tuple):
            return tuple(self.convert(key, item, None) for item in value)
        if isinstance(default, enum.Enum) and isinstance(value, str):
            members = {member.name.lower(): member for member in type(default)}
            return self.choose(key, value, members)
        return value

    def choose(self, key: str, value: str, known: Mapping[str, Any]) -> Any:
        """Return what a name stands for.

        Raises:
            ParamsError: if it is not known
        """
        if value.lower() not in known:
            raise ParamsError(
                f"{self._place}: {key}: unknown '{value}'."
                f"{suggest(value.lower(), known)} Known: {', '.join(known)}"
            )
        return known[value.lower()]

    def __call__(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if chance.skips(generator, self.p):
            return x
        self.admit(x)
        copy = np.array(x, order="C")
        with seeded(generator, numpy=self.numpy), quiet():
            try:
                changed = np.asarray(self.apply(copy, generator))
            except RehearError:
                raise
            except Exception as error:  # libraries raise what they like
                raise self._refusal(x, _reason(error)) from error
        return self._checked(x, changed)

    @property
    def _place(self) -> str:
        return f"augmentation '{self.name}': {self.transform}"

    def _refusal(self, x: np.ndarray, reason: str) -> DataError:
        return DataError(
            f"{self._place} cannot change an array of shape {x.shape}: {reason}; "
            "correct its arguments or its place in the list, or remove it"
        )

    def _find(self, namespace: Any, base: type, transform: str) -> type:
        if transform in self.unusable:
            raise ParamsError(f"{self._place}: {self.unusable[transform]}")
        known = usable(namespace, base, self.unusable)
        if transform not in known:
            raise ParamsError(
                f"augmentation '{self.name}': unknown transform '{transform}'."
                f"{suggest(transform, known)} Known: {', '.join(known)}"
            )
        return known[transform]

    def _arguments(
        self, cls: type, settings: Mapping[str, Any], forced: Mapping[str, Any]
    ) -> dict[str, Any]:
        parameters = _named(cls)
        settable = [key for key in parameters if key not in forced and key != "p"]
        for key in settings:
            if key not in settable:
                raise ParamsError(
                    f"{self._place} has no argument '{key}'.{suggest(key, settable)} "
                    f"It takes: {', '.join(['p', *settable])}"
                )
        given = {**self.defaults, **settings}
        arguments = {
            key: self.convert(key, given[key], parameters[key].default)
            for key in settable
            if key in given
        }
        for key in settable:
            if key not in arguments and parameters[key].default is inspect._empty:
                raise ParamsError(f"{self._place} needs the argument '{key}'")
        arguments.update({key: forced[key] for key in forced if key in parameters})
        return arguments

    def _make(self, cls: type, arguments: Mapping[str, Any]) -> Any:
        try:
            with quiet():
                return cls(**arguments)
        except ImportError as error:
            package = error.name or _reason(error)
            raise ParamsError(
                f"{self._place} needs the package {package}, which is not installed"
            ) from error
        except Exception as error:  # libraries raise what they like
            raise ParamsError(f"{self._place}: {_reason(error)}") from error

    def _checked(self, x: np.ndarray, changed: np.ndarray) -> np.ndarray:
        """Return the result, of the input's shape and type."""
        if self.stretches and changed.shape[:-1] == x.shape[:-1]:
            changed = _fit(changed, x.shape[-1])
        if changed.shape != x.shape:
            raise self._refusal(
                x,
                f"it gives {changed.shape}, and a clip must keep its shape, since "
                "batches and the other splits have it",
            )
        if changed.dtype.kind != x.dtype.kind:
            raise self._refusal(x, f"it makes {changed.dtype} of {x.dtype}")
        if not np.isfinite(changed).all():
            raise self._refusal(x, "it gives values that are not finite")
        return np.ascontiguousarray(changed, dtype=x.dtype)


class Pictures(External):
    """A change of images and spectrograms with one channel or three.

    Classes that ``free`` does not list limit or read values on the scale of
    images: 0 to 255 in ``uint8``, 0 to 1 in floats.
    """

    takes = (IMAGE, SPECTROGRAM)
    free: ClassVar[frozenset[str]]
    integers: ClassVar[frozenset[str]]  # that take ``uint8`` only

    def admit(self, x: np.ndarray) -> None:
        if x.ndim != 3 or len(x) not in (1, 3):
            raise DataError(
                f"{self._place} takes 1 or 3 channels, (channels, height, width), got "
                f"an array of shape {x.shape}"
            )
        if x.dtype == np.uint8 or self.transform in self.free:
            return
        low, high = float(x.min()), float(x.max())
        if not (low >= 0 and high <= 1):
            raise DataError(
                f"{self._place} takes values from 0 to 1, got {low:g} to {high:g}; put "
                "the transform 'scale' before it"
            )

    def apply(self, x: np.ndarray, generator: np.random.Generator) -> Any:
        if self.transform not in self.integers or x.dtype == np.uint8:
            return self.change(x, generator)
        levels = np.rint(x * np.float32(255)).astype(np.uint8)
        return self.change(levels, generator) / np.float32(255)

    def change(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Change a copy of an array that the class takes."""
        raise NotImplementedError


def usable(namespace: Any, base: type, unusable: Iterable[str] = ()) -> dict[str, type]:
    """Return the public subclasses of ``base`` in a namespace, by name."""
    found = {name: getattr(namespace, name) for name in sorted(dir(namespace))}
    return {
        name: entry
        for name, entry in found.items()
        if inspect.isclass(entry)
        and issubclass(entry, base)
        and not name.startswith("_")
        and name not in unusable
    }


def missing(error: ModuleNotFoundError, name: str, package: str) -> ParamsError:
    """Return what to say of a library that is not installed.

    Raises:
        ModuleNotFoundError: if it is another module that is missing
    """
    if error.name != name:
        raise error
    return ParamsError(
        f"augmentation '{name}' needs the package {package}, which is not installed; "
        f"install it with `pip install 'rehear[{package}]'`"
    )


def _named(cls: type) -> dict[str, inspect.Parameter]:
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return {
        key: parameter
        for key, parameter in list(parameters.items())[1:]
        if parameter.kind not in variadic and key != "strict"
    }


def _fit(x: np.ndarray, length: int) -> np.ndarray:
    """Cut the last axis, or fill it up with zeros, at its end."""
    missing = max(0, length - x.shape[-1])
    widths = [(0, 0)] * (x.ndim - 1) + [(0, missing)]
    return np.pad(x, widths)[..., :length] if missing else x[..., :length]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
