"""The loop: exact resume, determinism, the best epoch, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rehear import engine, metrics, training
from rehear.clips import ClipSet
from rehear.errors import ModelError, ParamsError
from rehear.losses import LOSSES
from rehear.params import Part, Train
from rehear.tasks import Classification

LABELS = ["a", "b", "c"]
SETTINGS = Train(
    epochs=4,
    batch_size=8,
    lr=0.01,
    optimizer=Part(name="adam"),
    scheduler=Part(name="one_cycle"),
    threads=1,
    device="cpu",
)


class Stored:
    def __init__(self, count, seed):
        draws = np.random.default_rng(seed)
        self.targets = draws.integers(0, 3, count)
        centres = np.random.default_rng(0).standard_normal((3, 6))
        noise = draws.standard_normal((count, 6))
        self.values = (centres[self.targets] + noise).astype(np.float32)
        self.ids = [str(i) for i in range(count)]
        self.shape = (6,)

    def gather(self, rows):
        return self.values[rows]

    def size(self, rows):
        return 6 * len(rows)


def clip_set(count, seed):
    stored = Stored(count, seed)
    return ClipSet(stored, range(count), stored.targets, seed=1)


TRAIN, DEV = clip_set(51, 1), clip_set(30, 2)


def trainer(settings=SETTINGS, seed=1, track="uar"):
    training.seed_torch(seed, "initialise")
    model = nn.Sequential(
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(16, 3),
    )
    return training.Trainer(
        model,
        LOSSES.build("cross_entropy"),
        task=Classification(labels=LABELS),
        settings=settings,
        metrics=metrics.choose((), task="classification", track=track),
        seed=seed,
    )


def fit(run, **options):
    run.fit(TRAIN, DEV, truth=DEV.targets, **options)
    return run


def equal(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


def test_it_learns():
    history = fit(trainer(replace(SETTINGS, epochs=15))).progress.history
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert max(row["uar"] for row in history) > 0.6


def test_equal_runs_are_equal_to_the_bit_whatever_was_drawn_before():
    first = fit(trainer())
    torch.manual_seed(99)
    torch.rand(1000)
    second = fit(trainer())
    assert equal(first.final_state(), second.final_state())
    assert first.progress == second.progress
    assert not equal(first.final_state(), fit(trainer(seed=2)).final_state())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("saves", [1, 3, 5, 9])
def test_an_interrupted_run_ends_with_the_same_bits(monkeypatch, saves, accumulate):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(training, "STEPS_BETWEEN_CHECKS", 3)
    settings = replace(SETTINGS, accumulate=accumulate, clip_norm=1.0)
    whole = fit(trainer(settings))
    kept = []

    def save(tensors, where):
        kept[:] = [{k: v.clone() for k, v in tensors.items()}, _through_json(where)]
        save.count += 1
        if save.count == saves:
            raise Killed

    save.count = 0
    with pytest.raises(Killed):
        fit(trainer(settings), save=save)
    again = fit(trainer(settings), resume=tuple(kept))
    assert equal(again.final_state(), whole.final_state())
    assert equal(again.model.state_dict(), whole.model.state_dict())
    assert again.progress == whole.progress


def test_a_convolutional_network_continues_with_the_same_bits(monkeypatch):
    """Its weights lie in another memory order than in the file."""
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)

    def convolutional():
        run = trainer(replace(SETTINGS, epochs=3))
        training.seed_torch(1, "initialise")
        model = nn.Sequential(
            nn.Unflatten(1, (1, 2, 3)),
            nn.Conv2d(1, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Flatten(),
            nn.Linear(48, 3),
        )
        run.model = engine.place(model, run.engine.device, run.settings)
        return run

    whole = fit(convolutional())
    kept = []

    def save(tensors, where):
        stored = {
            k: v.clone(memory_format=torch.contiguous_format)
            for k, v in tensors.items()
        }
        kept[:] = [stored, _through_json(where)]
        raise Killed

    with pytest.raises(Killed):
        fit(convolutional(), save=save)
    again = fit(convolutional(), resume=tuple(kept))
    assert equal(again.model.state_dict(), whole.model.state_dict())


class Scaled(engine.Local):
    """Stands for Accelerate in fp16: losses are scaled, and the scale moves."""

    def __init__(self):
        super().__init__(torch.device("cpu"), "fp32")
        self.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)

    def backward(self, loss):
        self.scaler.scale(loss).backward()

    def prepare(self, model, optimizer):
        run = self

        class Scaling:
            param_groups, state_dict = optimizer.param_groups, optimizer.state_dict
            zero_grad = staticmethod(optimizer.zero_grad)

            def step(self):
                run.scaler.step(optimizer)
                run.scaler.update()

        return model, Scaling()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_scale_of_gradients_in_fp16_is_resumed(monkeypatch, accumulate):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(training, "STEPS_BETWEEN_CHECKS", 3)

    def scaled():
        run = trainer(replace(SETTINGS, scheduler=None, accumulate=accumulate))
        run.engine = Scaled()
        return run

    whole = fit(scaled())
    kept = []

    def save(tensors, where):
        kept[:] = [{k: v.clone() for k, v in tensors.items()}, _through_json(where)]
        raise Killed

    with pytest.raises(Killed):
        fit(scaled(), save=save)
    again = fit(scaled(), resume=tuple(kept))
    assert again.engine.scaler.state_dict() == whole.engine.scaler.state_dict()
    assert equal(again.model.state_dict(), whole.model.state_dict())


@pytest.mark.parametrize("count", [4, 5])
def test_batches_of_one_clip_are_all_counted(count):
    settings = replace(SETTINGS, epochs=1, batch_size=1, accumulate=2)
    run = trainer(settings)
    run.model = nn.Linear(6, 3)
    run.fit(clip_set(count, 1), DEV, truth=DEV.targets)
    assert run.batches == count
    assert all(p.grad is None for p in run.model.parameters()), "a step was left out"


def test_a_last_step_that_ruins_the_weights_is_refused():
    settings = replace(
        SETTINGS, epochs=1, batch_size=64, lr=1e38, optimizer=Part(name="sgd")
    )
    settings = replace(settings, scheduler=None)
    run = trainer(settings)
    run.model = nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 3))
    with pytest.raises(ModelError, match=r"epoch 1: outputs .* not numbers any more"):
        fit(run)


def _through_json(value):
    import json

    return json.loads(json.dumps(value))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_workers_do_not_change_weights():
    whole = fit(trainer())
    loaded = fit(trainer(replace(SETTINGS, workers=2)))
    assert equal(whole.final_state(), loaded.final_state())


def test_the_best_epoch_is_kept_not_the_last_one():
    run = fit(trainer(replace(SETTINGS, epochs=8)))
    values = [row["uar"] for row in run.progress.history]
    assert run.progress.best == max(values)
    assert run.progress.best_epoch == values.index(max(values)) + 1


def test_lower_is_better_where_the_metric_says_so(monkeypatch):
    lower = replace(
        metrics.metric("uar", task="classification"), higher_is_better=False
    )
    run = trainer(replace(SETTINGS, epochs=6))
    run.metrics = {"uar": lower}
    fit(run)
    assert run.progress.best == min(row["uar"] for row in run.progress.history)


def test_an_undefined_metric_never_becomes_best():
    undefined = metrics.Metric(lambda table: None, tasks=("classification",))
    run = trainer()
    run.metrics = {"uar": undefined}
    fit(run)
    assert run.progress.best is None
    assert run.progress.best_epoch == 0
    assert equal(run.final_state(), training.clone(run.model))


def test_patience_ends_training():
    constant = metrics.Metric(lambda table: 0.5, tasks=("classification",))
    run = trainer(replace(SETTINGS, epochs=20, patience=3))
    run.metrics = {"uar": constant}
    fit(run)
    assert len(run.progress.history) == 4
    assert run.progress.best_epoch == 1


def test_loss_of_an_epoch_is_the_mean_over_clips_not_over_batches():
    settings = replace(SETTINGS, lr=0.0, epochs=1, batch_size=50, scheduler=None)
    run = trainer(settings)
    run.model = run.model.eval()
    run.model.train = lambda mode=True: run.model
    fit(run)
    with torch.no_grad():
        outputs = run.model(torch.from_numpy(TRAIN.store.values))
        expected = nn.functional.cross_entropy(outputs, torch.from_numpy(TRAIN.targets))
    loss = run.progress.history[0]["train_loss"]
    assert loss == pytest.approx(float(expected), rel=1e-6)


def test_accumulated_batches_equal_one_large_batch():
    class Linear(nn.Linear):
        pass

    def weights(batch_size, accumulate):
        settings = replace(
            SETTINGS,
            batch_size=batch_size,
            accumulate=accumulate,
            epochs=2,
            optimizer=Part(name="sgd"),
            scheduler=None,
        )
        run = trainer(settings)
        training.seed_torch(0, "initialise")
        run.model = Linear(6, 3)
        even = ClipSet(TRAIN.store, range(48), TRAIN.targets[:48], seed=1)
        run.fit(even, DEV, truth=DEV.targets)
        return run.model.weight

    torch.testing.assert_close(weights(8, 2), weights(16, 1), rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_not_a_number_stops_training():
    with pytest.raises(ModelError, match=r"epoch \d+: the training loss is not a numb"):
        fit(
            trainer(
                replace(SETTINGS, lr=1e30, scheduler=None, optimizer=Part(name="sgd"))
            )
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "cuda:7"}, "'cuda:7' cannot be used here"),
        ({"device": "gpu"}, "'gpu' cannot be used here"),
        ({"precision": "fp16"}, "fp16 needs a CUDA device, not cpu"),
    ],
)
def test_a_device_that_cannot_do_it_is_refused(change, message):
    with pytest.raises(ParamsError, match=message):
        trainer(replace(SETTINGS, **change))


def test_bf16_trains():
    run = fit(trainer(replace(SETTINGS, precision="bf16", epochs=6)))
    assert (
        run.progress.history[-1]["train_loss"] < run.progress.history[0]["train_loss"]
    )
