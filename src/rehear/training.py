"""The training loop. It knows no paths.

Each step seeds torch's generators with its own address (seed, epoch, step), so
that dropout is the same after an interruption as without one, and an epoch does
not depend on the epochs before it but through the weights.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rehear import engine, freezing, inference, optim, probing
from rehear.clips import Batch, ClipSet, cut
from rehear.metrics import Metric
from rehear.params import Train
from rehear.predictions import Predictions
from rehear.randomness import key
from rehear.tasks import Task

# Saving more often would cost more than it saves.
SECONDS_BETWEEN_SAVES = 5.0
STEPS_BETWEEN_CHECKS = 50


@dataclass
class Progress:
    """Where a run is; together with the weights, all that resuming needs.

    Attributes:
        epoch: the epoch under way, from 0
        step: the next batch in it
        loss: sum over the clips of this epoch so far
        seen: number of these clips
        history: one row for each finished epoch
        best: tracked metric of the best epoch; ``None`` before one is defined
        best_epoch: its number, from 1; 0 before one is defined
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    seen: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0


Save = Callable[[dict[str, Tensor], dict[str, Any]], None]


class Trainer:
    """One run: a model, its optimiser and where it is.

    Args:
        model: on the CPU
        criterion: the loss
        task: decides on scores and metrics
        settings: the ``train`` section
        metrics: of the dev split by name, the tracked one first
        seed: key of all draws
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        *,
        task: Task,
        settings: Train,
        metrics: Mapping[str, Metric],
        seed: int,
    ) -> None:
        self.task, self.settings, self.seed = task, settings, seed
        self.metrics = metrics
        self.track = next(iter(metrics))
        self.engine = engine.pick(settings.device, settings.precision)
        self.model = engine.place(model, self.engine.device, settings)
        self.criterion = criterion.to(self.engine.device)
        self.progress = Progress()
        self.best_state: dict[str, Tensor] = {}
        self.optimizer: Any = None
        self.scheduler: Any = None
        self.front: nn.Module | None = None

    def fit(
        self,
        train: ClipSet,
        dev: ClipSet,
        *,
        truth: np.ndarray,
        resume: tuple[Mapping[str, Tensor], dict[str, Any]] | None = None,
        save: Save | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        """Train until the last epoch, or until patience ends.

        Args:
            train: clips to learn from
            dev: clips that pick the best epoch
            truth: what a perfect model would predict for ``dev``
            resume: what ``save`` was handed, to continue from there
            save: stores the state of an unfinished run
            report: called after each epoch

        Raises:
            ModelError: if the loss is not a number any more
        """
        self._build_optimizer(train)
        self.net = self.model
        if probing.applies(self.model, self.settings, train):
            train, dev = (self._encoded(clips) for clips in (train, dev))
            self.net = probing.head_of(self.model)
        self.front = train.front
        if resume:
            self._restore(*resume)
        freezing.check(self.settings, processes=self.engine.num_processes)
        freezing.hold(self.model, self.settings, epoch=self.progress.epoch)
        self._save, self._saved_at = save, time.monotonic()
        wrapped, self.optimizer = self.engine.prepare(self.net, self.optimizer)
        while self.progress.epoch < self.settings.epochs and not self._patience_ended():
            loss = self._train_epoch(wrapped, train)
            self._finish_epoch(loss, dev, truth)
            if report:
                report(self.progress)
            self._save_sometimes()

    def _encoded(self, clips: ClipSet) -> ClipSet:
        return probing.encoded(
            self.model, clips, run=self.engine, settings=self.settings
        )

    def _build_optimizer(self, train: ClipSet) -> None:
        self.batches = len(cut(np.arange(len(train)), self.settings.batch_size))
        per_epoch = -(-self.batches // self.settings.accumulate)
        freezing.hold(self.model, self.settings, epoch=self.settings.epochs - 1)
        self.optimizer = optim.OPTIMIZERS.build(
            self.settings.optimizer,
            parameters=freezing.learning(self.model, self.settings),
            lr=self.settings.lr,
        )
        if self.settings.scheduler:
            self.scheduler = optim.SCHEDULERS.build(
                self.settings.scheduler,
                optimizer=self.optimizer,
                lr=self.settings.lr,
                steps_per_epoch=per_epoch,
                total_steps=per_epoch * self.settings.epochs,
            )

    def _train_epoch(self, model: nn.Module, train: ClipSet) -> float:
        now = self.progress
        model.train()
        freezing.hold(self.model, self.settings, epoch=now.epoch)
        # Of this process's clips; what was summed before an interruption is of all.
        before = now.loss if self.engine.is_main_process else 0.0
        total = torch.tensor(before, dtype=torch.float64, device=_sums(self.engine))
        for batch in train.batches(
            now.epoch,
            self.settings.batch_size,
            shuffle=True,
            first=now.step,
            workers=self.settings.workers,
        ):
            total += self._step(model, batch)
            now.step += 1
            now.seen += batch.size
            if now.step % STEPS_BETWEEN_CHECKS == 0:
                now.loss = engine.sum_loss(self.engine, total, epoch=now.epoch)
                self._save_sometimes()
        now.loss = engine.sum_loss(self.engine, total, epoch=now.epoch)
        return now.loss / now.seen

    def _step(self, model: nn.Module, batch: Batch) -> Tensor:
        """Take one step; return the loss summed over this process's clips."""
        now, settings = self.progress, self.settings
        seed_torch(self.seed, "step", now.epoch, now.step, self.engine.process_index)
        batch, share = self._own_share(batch)
        features = engine.to_device(
            batch.features, self.engine.device, settings, self.front
        )
        targets = batch.targets.to(self.engine.device, non_blocking=True)
        with self.engine.autocast():
            outputs = inference.outputs(model, features, batch.lengths)
            loss = self.criterion(outputs, targets)
        group = now.step // settings.accumulate * settings.accumulate
        together = min(settings.accumulate, self.batches - group)
        weight = share / together
        self.engine.backward(loss if weight == 1 else loss * weight)
        if now.step + 1 == group + together:
            if settings.clip_norm is not None:
                self.engine.clip_grad_norm_(model.parameters(), settings.clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.scheduler:
                self.scheduler.step()
        return loss.detach().to(_sums(self.engine), torch.float64) * batch.size

    def _own_share(self, batch: Batch) -> tuple[Batch, float]:
        """Return this process's clips, and their weight in the batch's mean."""
        count, rank = self.engine.num_processes, self.engine.process_index
        if count == 1:
            return batch, 1.0
        own = slice(rank, None, count)
        size = len(batch.features[own])
        if size == 0:  # every process must take part in the step
            return batch.take(slice(1), size=0), 0.0
        return batch.take(own, size=size), size * count / batch.size

    def _finish_epoch(self, loss: float, dev: ClipSet, truth: np.ndarray) -> None:
        now = self.progress
        rate = self.optimizer.param_groups[0]["lr"]
        logits = inference.predict(
            self.net,
            dev,
            batch_size=self.settings.batch_size,
            run=self.engine,
            settings=self.settings,
        )
        logits = engine.from_main(self.engine, logits)
        engine.check_outputs(logits, epoch=now.epoch)
        values = self._score(logits, dev, truth)
        row: dict[str, Any] = {"epoch": now.epoch + 1, "train_loss": loss}
        row["dev_loss"] = self._dev_loss(logits, dev)
        row.update(values, lr=rate)
        now.history.append(row)
        if self._is_best(values[self.track]):
            now.best, now.best_epoch = values[self.track], now.epoch + 1
            self.best_state = clone(self.model)
        now.epoch, now.step, now.loss, now.seen = now.epoch + 1, 0, 0.0, 0

    def _score(
        self, logits: np.ndarray, dev: ClipSet, truth: np.ndarray
    ) -> dict[str, float | None]:
        scores = self.task.scores(logits.astype(np.float64))
        table = Predictions(
            task=self.task.name,
            labels=self.task.labels,
            clips=np.array(dev.ids),
            groups=np.full(len(dev), ""),
            targets=truth,
            predictions=self.task.decode(scores),
            scores=scores,
        )
        return {name: metric(table) for name, metric in self.metrics.items()}

    def _dev_loss(self, logits: np.ndarray, dev: ClipSet) -> float | None:
        with torch.no_grad():
            loss = self.criterion(
                torch.from_numpy(logits).to(self.engine.device),
                torch.from_numpy(dev.targets).to(self.engine.device),
            )
        value = float(loss)
        return value if np.isfinite(value) else None

    def _is_best(self, value: float | None) -> bool:
        if value is None:
            return False
        if self.progress.best is None:
            return True
        higher = self.metrics[self.track].higher_is_better
        return value > self.progress.best if higher else value < self.progress.best

    def _patience_ended(self) -> bool:
        patience = self.settings.patience
        return (
            patience is not None
            and self.progress.epoch - self.progress.best_epoch >= patience
        )

    def final_state(self) -> dict[str, Tensor]:
        """Return the best epoch's weights; the last one's if none was defined."""
        return self.best_state or clone(self.model)

    def _save_sometimes(self) -> None:
        if not self._save or not self.engine.is_main_process:
            return
        if time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES:
            self._save(*self._state())
            self._saved_at = time.monotonic()

    @property
    def _scaler(self) -> Any:
        """What scales gradients in fp16; its scale moves with every overflow."""
        return getattr(self.engine, "scaler", None)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best_state.items()}
        tensors |= {
            f"grad.{k}": p.grad
            for k, p in self.model.named_parameters()
            if p.grad is not None
        }
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        rates = [group["lr"] for group in self.optimizer.param_groups]
        plan = self.scheduler.state_dict() if self.scheduler else {}
        where = {**vars(self.progress), "rates": rates, "scheduler": plan}
        if self._scaler:
            where["scaler"] = self._scaler.state_dict()
        return tensors, where

    def _restore(self, tensors: Mapping[str, Tensor], where: dict[str, Any]) -> None:
        where = dict(where)
        rates, plan = where.pop("rates"), where.pop("scheduler")
        scale = where.pop("scaler", None)
        if self._scaler and scale:
            self._scaler.load_state_dict(scale)
        self.progress = Progress(**where)
        self.model.load_state_dict(_under(tensors, "model"))
        self.best_state = _under(tensors, "best")
        gradients = _under(tensors, "grad")
        for name, parameter in self.model.named_parameters():
            if name in gradients:
                parameter.grad = _laid_out(gradients[name], parameter)
        whole = self.optimizer.state_dict()
        places = [p for group in self.optimizer.param_groups for p in group["params"]]
        for name, tensor in _under(tensors, "optimizer").items():
            index, entry = name.split(".", 1)
            state = whole["state"].setdefault(int(index), {})
            state[entry] = _laid_out(tensor, places[int(index)])
        self.optimizer.load_state_dict(whole)
        if self.scheduler:
            self.scheduler.load_state_dict(plan)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def seed_torch(seed: int, purpose: str, *keys: int | str) -> None:
    """Seed torch's own generators, which dropout and initialisation draw from."""
    number = key(seed, purpose, *keys) % 2**63
    torch.default_generator.manual_seed(number)
    # For each kind of device that is not in use, torch.manual_seed() would format
    # a stack trace: more work than a step of a small network.
    for devices in (torch.cuda, torch.xpu):
        if devices.is_initialized():
            devices.manual_seed_all(number)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def clone(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's weights on the CPU."""
    return {k: v.detach().to("cpu", copy=True) for k, v in model.state_dict().items()}


def _laid_out(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a tensor in the memory layout of its parameter.

    Files know no layout, but fused optimisers walk through both in memory order.
    """
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _sums(run: Any) -> torch.device:
    """Return where losses are summed: MPS has no float64."""
    return torch.device("cpu") if run.device.type == "mps" else run.device
