"""What is predicted: labels to targets, model outputs to predictions.

A task is learnt from the training split (which classes there are, how targets
are scaled) and travels with the model. How many outputs a model needs, which
loss it is trained with and which metrics judge it follow from the task.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from rehear.catalogue import Catalogue, arguments_of, name_of
from rehear.errors import DataError, ParamsError, suggest
from rehear.manifest import Clip, Manifest


class Task(Protocol):
    """What every task offers.

    Attributes:
        name: as in params.yaml
        labels: classes, tags or names of targets, in the order of the outputs
        loss: name of the default loss
        metrics: names of the default metrics; the first one is tracked
    """

    name: ClassVar[str]
    loss: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    labels: tuple[str, ...]

    def encode(self, clip: Clip) -> np.ndarray:
        """Return the target of one clip as the loss takes it."""
        ...

    def spread(self, targets: np.ndarray) -> np.ndarray:
        """Return targets as ``(clips, outputs)`` weights, for mixed clips."""
        ...

    def truth(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return what a perfect model would predict for ``clips``."""
        ...

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return scores of shape ``(clips, outputs)`` from raw outputs."""
        ...

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """Return predictions from scores, in the form of ``truth``."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what ``restore`` needs, as JSON."""
        ...


class Classification:
    """One of several classes.

    Args:
        labels: classes in the order of the outputs
    """

    name: ClassVar[str] = "classification"
    loss: ClassVar[str] = "cross_entropy"
    metrics: ClassVar[tuple[str, ...]] = ("uar", "accuracy", "f1_macro")

    def __init__(self, *, labels: Sequence[str] = ()) -> None:
        self.labels = tuple(labels)
        self._index = {label: index for index, label in enumerate(self.labels)}

    @classmethod
    def learn(cls, train: Manifest) -> "Classification":
        """Take the classes of the training split.

        Raises:
            DataError: if a clip has not exactly one label, or there is only
                one class
        """
        for clip in train:
            _one_label(clip)
        labels = sorted({clip.labels[0] for clip in train})
        if len(labels) < 2:
            raise DataError(
                f"the training split has {len(labels)} class ({', '.join(labels)}); "
                "classification needs two: check the labels and the splits"
            )
        return cls(labels=labels)

    def encode(self, clip: Clip) -> np.ndarray:
        """Return the index of the clip's class."""
        return np.array(self._find(_one_label(clip), clip), dtype=np.int64)

    def spread(self, targets: np.ndarray) -> np.ndarray:
        """Return one-hot rows."""
        return np.eye(len(self.labels), dtype=np.float32)[targets]

    def truth(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return class indices ``(clips,)``."""
        return np.array([self.encode(clip) for clip in clips], dtype=np.int64)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return the softmax."""
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """Return the class with the highest score; the first one of equals."""
        return scores.argmax(axis=1)

    def state(self) -> dict[str, Any]:
        """Return the classes."""
        return {"name": self.name, "labels": list(self.labels)}

    def _find(self, label: str, clip: Clip) -> int:
        index = self._index.get(label)
        if index is None:
            raise DataError(
                f"clip '{clip.clip}' ({clip.split}) has the label '{label}', which no "
                f"training clip has.{suggest(label, self.labels)} Known: "
                f"{', '.join(self.labels)}; correct the label or the splits"
            )
        return index


class Tagging(Classification):
    """Any number of several tags (multi-label classification).

    Args:
        labels: tags in the order of the outputs
        threshold: a tag is predicted where its score is above
    """

    name: ClassVar[str] = "tagging"
    loss: ClassVar[str] = "binary_cross_entropy"
    metrics: ClassVar[tuple[str, ...]] = ("map_macro", "f1_macro", "f1_micro")

    def __init__(self, *, labels: Sequence[str] = (), threshold: float = 0.5) -> None:
        super().__init__(labels=labels)
        if not 0 <= threshold <= 1:
            raise ParamsError(f"task.threshold: expected 0 to 1, found {threshold}")
        self.threshold = threshold

    @classmethod
    def learn(cls, train: Manifest, *, threshold: float = 0.5) -> "Tagging":
        """Take the tags of the training split."""
        labels = sorted({label for clip in train for label in clip.labels})
        if not labels:
            raise DataError("no training clip has a tag; check the labels")
        return cls(labels=labels, threshold=threshold)

    def encode(self, clip: Clip) -> np.ndarray:
        """Return a multi-hot vector."""
        hot = np.zeros(len(self.labels), dtype=np.float32)
        for label in clip.labels:
            hot[self._find(label, clip)] = 1
        return hot

    def spread(self, targets: np.ndarray) -> np.ndarray:
        """Return the multi-hot rows as they are."""
        return targets

    def truth(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return 0 or 1 for each clip and tag."""
        return np.array([self.encode(clip) for clip in clips]).astype(np.int64)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return the sigmoid."""
        return 0.5 * (1 + np.tanh(0.5 * logits))

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """Return 1 where the score is above the threshold."""
        return (scores > self.threshold).astype(np.int64)

    def state(self) -> dict[str, Any]:
        """Return the tags and the threshold."""
        return {**super().state(), "threshold": self.threshold}


class Regression:
    """One or several numbers.

    Targets are standardised with the mean and standard deviation of the
    training split, so that losses of several targets weigh the same; scores are
    on the original scale.

    Args:
        labels: names of the targets
        mean: of each target in the training split
        std: of each target in the training split
    """

    name: ClassVar[str] = "regression"
    loss: ClassVar[str] = "mse"
    metrics: ClassVar[tuple[str, ...]] = ("ccc", "pcc", "mae", "rmse")

    def __init__(
        self,
        *,
        labels: Sequence[str] = (),
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        self.labels = tuple(labels)
        self.mean = np.array(mean, dtype=np.float64)
        self.std = np.array(std, dtype=np.float64)

    @classmethod
    def learn(cls, train: Manifest) -> "Regression":
        """Take names and scale of the targets from the training split."""
        if not train.targets or not len(train):
            raise DataError(
                "the data set has no targets for regression; name their columns in "
                "params.yaml, for example dataset.targets: [arousal, valence]"
            )
        values = np.array([clip.targets for clip in train])
        std = values.std(axis=0)
        for name, spread in zip(train.targets, std, strict=True):
            if spread == 0:
                raise DataError(
                    f"target '{name}' has the same value in every training clip; "
                    "check its column or leave it out"
                )
        return cls(labels=train.targets, mean=values.mean(axis=0), std=std)

    def encode(self, clip: Clip) -> np.ndarray:
        """Return the standardised targets."""
        return ((np.array(clip.targets) - self.mean) / self.std).astype(np.float32)

    def spread(self, targets: np.ndarray) -> np.ndarray:
        """Return the targets as they are."""
        return targets

    def truth(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return targets on their original scale."""
        return np.array([clip.targets for clip in clips], dtype=np.float64)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Return predictions on the original scale."""
        return logits * self.std + self.mean

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """Return the scores, which are the predictions."""
        return scores

    def state(self) -> dict[str, Any]:
        """Return names and scale of the targets."""
        return {
            "name": self.name,
            "labels": list(self.labels),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }


TASKS = Catalogue(
    "task",
    {
        "classification": "rehear.tasks:Classification",
        "tagging": "rehear.tasks:Tagging",
        "regression": "rehear.tasks:Regression",
    },
)
_LEARNT = ("labels", "mean", "std")


def learn(spec: Mapping[str, Any], train: Manifest) -> Task:
    """Build the task of params.yaml and let it learn from the training split."""
    TASKS.check(spec, given=_LEARNT)
    task: Any = TASKS.get(name_of(spec))
    return task.learn(train, **arguments_of(spec))


def restore(state: Mapping[str, Any]) -> Task:
    """Rebuild a task from its ``state``."""
    return TASKS.build(state)


def _one_label(clip: Clip) -> str:
    if len(clip.labels) != 1:
        raise DataError(
            f"clip '{clip.clip}' has {len(clip.labels)} labels; classification needs "
            "exactly one: correct it, or set task: tagging"
        )
    return clip.labels[0]
