"""From an address or a path to data/pretrained, once, checked, and offline after."""

import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import save_file
from torch import nn

from loopback import Page, serve
from rehear import checkpoint, download, params
from rehear.errors import DataError, ModelError, ParamsError
from rehear.models import MODELS
from rehear.models.sources import Source
from rehear.stages import evaluate, pretrained, train
from stages.test_train import SETTINGS, study  # noqa: F401 - a fixture

RECORD = "data/pretrained/record.json"


class Net(nn.Module):
    """A small model for feature vectors, with published weights."""

    head_modules = ("head",)
    source: Source

    def __init__(self, *, num_outputs: int, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.body = nn.Linear(*input_shape, 8)
        self.head = nn.Linear(8, num_outputs)

    @classmethod
    def sources(cls):
        return {cls.source.name: cls.source}

    def embed(self, features):
        return self.body(features).relu()

    def forward(self, features):
        return self.head(self.embed(features))


def theirs(seed=5):
    torch.manual_seed(seed)
    return Net(num_outputs=7, input_shape=(6,)).state_dict()


def stored(state):
    buffer = io.BytesIO()
    torch.save({"model": state, "score": np.float64(0.4)}, buffer)
    return buffer.getvalue()


BYTES = stored(theirs())


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv(pretrained.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(MODELS, "_table", dict(MODELS._table))
    MODELS.add("net", Net)
    with serve() as found:
        found.pages["/net%3D1.pth"] = Page(BYTES)
        found.pages["/net=1.pth"] = Page(BYTES)
        Net.source = Source("lab/net", f"{found.url}/net%3D1.pth", "CC0", "somebody")
        yield found


def ask(study, weights="lab/net", **more):  # noqa: F811
    # As data/features/meta.json of the fixture has it.
    front_end = {"preprocess": {"transforms": []}}
    tree = {**SETTINGS, **front_end, "model": {"name": "net"}, **more}
    tree["pretrained"] = {"weights": weights}
    with (study / "params.yaml").open("w") as stream:
        YAML().dump(tree, stream)
    return params.load(study / "params.yaml")


def test_weights_are_downloaded_once_and_recorded(server, study, tmp_path):  # noqa: F811
    values = ask(study)
    pretrained.run(values, study)
    record = json.loads((study / RECORD).read_text())
    found = checkpoint.read_tensors(study / "data/pretrained/weights.safetensors")
    assert all(torch.equal(found[key], value) for key, value in theirs().items())
    assert record["weights"] == "lab/net"
    assert record["licence"] == "CC0"
    digest = hashlib.sha256(BYTES).hexdigest()
    table = json.loads((study / "data/checksums.json").read_text())
    assert table == {Net.source.url: {"size": len(BYTES), "sha256": digest}}
    before = (study / "data/pretrained/weights.safetensors").read_bytes()
    pretrained.run(values, study)
    assert len(server.asked) == 1
    assert (study / "data/pretrained/weights.safetensors").read_bytes() == before


def test_another_study_needs_no_download(server, study, tmp_path):  # noqa: F811
    pretrained.run(ask(study), study)
    other = tmp_path / "other"
    other.mkdir()
    pretrained.run(ask(other), other)
    assert len(server.asked) == 1
    assert (other / "data/checksums.json").exists()


@pytest.mark.parametrize("known", ["", "prefix", "whole"])
def test_other_bytes_than_known_are_refused(server, study, monkeypatch, known):  # noqa: F811
    digest = hashlib.sha256(BYTES).hexdigest()
    wanted = {"": "", "prefix": digest[:8], "whole": digest}[known]
    monkeypatch.setattr(Net, "source", replace(Net.source, sha256=wanted))
    values = ask(study)
    if not known:  # what git tracks is enforced, whatever the cache holds
        table = {Net.source.url: {"size": len(BYTES), "sha256": digest}}
        (study / "data/checksums.json").write_text(json.dumps(table))
    for path in list(server.pages):
        server.pages[path] = Page(stored(theirs(6)))
    with pytest.raises(DataError, match=r"expected .*the file was removed"):
        pretrained.run(values, study)
    assert not (study / RECORD).exists()
    for path in list(server.pages):
        server.pages[path] = Page(BYTES)
    pretrained.run(values, study)


def test_a_cut_connection_goes_on_where_it_ended(server, study):  # noqa: F811
    for path in list(server.pages):
        server.pages[path] = Page(BYTES, cut_after=300, cuts=2)
    pretrained.run(ask(study), study)
    assert len(server.asked) == 3
    assert server.asked[1][1].startswith("bytes=300")


def test_a_page_instead_of_weights_is_refused(server, study):  # noqa: F811
    for path in list(server.pages):
        page = b"<!doctype html><title>Log in</title>"
        server.pages[path] = Page(page, content_type="text/html")
    with pytest.raises(DataError, match="a web page"):
        pretrained.run(ask(study), study)


def test_from_scratch_nothing_is_asked_for(server, study):  # noqa: F811
    pretrained.run(ask(study, ""), study)
    assert server.asked == []
    assert [f.name for f in (study / "data/pretrained").iterdir()] == ["record.json"]


def test_training_starts_from_them_and_predicts_without(server, study):  # noqa: F811
    settings = {"train": {**SETTINGS["train"], "lr": 0.0}}
    values = ask(study, **settings)
    with pytest.raises(ModelError, match="run `rehear pretrained` first"):
        train.run(values, study, seed=1, fold="none")
    pretrained.run(values, study)
    server.pages.clear()
    target = train.run(values, study, seed=1, fold="none")
    found = checkpoint.read_tensors(target / "weights.safetensors")
    assert torch.equal(found["body.weight"], theirs()["body.weight"])
    assert found["head.weight"].shape == (2, 8)
    config = json.loads((target / "config.json").read_text())
    assert config["pretrained"]["weights"] == "lab/net"
    assert config["pretrained"]["sha256"]
    for file in (study / "data/pretrained").iterdir():
        file.unlink()
    evaluate.run(values, study, seed=1, fold="none")


def test_a_model_of_ours_can_be_gone_on_with(server, study):  # noqa: F811
    values = ask(study)
    pretrained.run(values, study)
    first = train.run(values, study, seed=1, fold="none")
    first.rename(study / "before")
    values = ask(study, "before", train={**SETTINGS["train"], "lr": 0.0})
    pretrained.run(values, study)
    target = train.run(values, study, seed=2, fold="none")
    old = checkpoint.read_tensors(study / "before/weights.safetensors")
    new = checkpoint.read_tensors(target / "weights.safetensors")
    assert torch.equal(old["body.weight"], new["body.weight"])
    assert not torch.equal(old["head.weight"], new["head.weight"])
    kept = replace(values, pretrained=replace(values.pretrained, keep_head=True))
    target = train.run(kept, study, seed=2, fold="none")
    new = checkpoint.read_tensors(target / "weights.safetensors")
    assert torch.equal(old["head.weight"], new["head.weight"])


def test_other_labels_do_not_keep_a_head(server, study):  # noqa: F811
    values = ask(study)
    pretrained.run(values, study)
    train.run(values, study, seed=1, fold="none").rename(study / "before")
    config = json.loads((study / "before/config.json").read_text())
    config["task"]["labels"] = ["b", "a"]
    (study / "before/config.json").write_text(json.dumps(config))
    values = ask(study, "before")
    pretrained.run(values, study)
    kept = replace(values, pretrained=replace(values.pretrained, keep_head=True))
    with pytest.raises(ModelError, match=r"keep_head: .* labels b, a, but .* a, b"):
        train.run(kept, study, seed=1, fold="none")


def test_a_path_must_stand_in_the_pipeline(server, study):  # noqa: F811
    torch.save(theirs(), study / "theirs.pth")
    stages = {"stages": {"pretrained": {"cmd": "rehear pretrained", "deps": ["src"]}}}
    with (study / "dvc.yaml").open("w") as stream:
        YAML().dump(stages, stream)
    with pytest.raises(ParamsError, match=r"add the line '- theirs.pth' to its deps"):
        pretrained.run(ask(study, "theirs.pth"), study)
    stages["stages"]["pretrained"]["deps"].append("theirs.pth")
    with (study / "dvc.yaml").open("w") as stream:
        YAML().dump(stages, stream)
    pretrained.run(ask(study, "theirs.pth"), study)
    assert (study / RECORD).exists()


def test_a_typo_is_told_before_anything_is_asked_for(server, study):  # noqa: F811
    with pytest.raises(ParamsError, match=r"Did you mean 'lab/net'\?"):
        pretrained.run(ask(study, "lab/nett"), study)
    assert server.asked == []


ANSWER = b'{"message": "too many requests, come back"}'


def answer(server, body):
    for path in list(server.pages):
        etag = hashlib.sha256(body).hexdigest()[:8]
        server.pages[path] = Page(body, etag=f'"{etag}"')


@pytest.mark.parametrize("known", ["", "size"])
def test_what_cannot_be_read_is_neither_recorded_nor_kept(
    server,
    study,  # noqa: F811
    tmp_path,
    monkeypatch,
    known,
):
    if known:
        monkeypatch.setattr(Net, "source", replace(Net.source, size=len(ANSWER)))
    answer(server, ANSWER)
    values = ask(study)
    with pytest.raises(ModelError, match=r"^lab/net cannot be read .*'\{\"messa"):
        pretrained.run(values, study)
    assert not (study / "data/checksums.json").exists()
    left = (file.name for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert {*left} <= {"lock", "checksums.json"}
    monkeypatch.setattr(Net, "source", replace(Net.source, size=None))
    answer(server, BYTES)
    pretrained.run(values, study)
    assert (study / RECORD).exists()


def test_an_answer_that_an_earlier_version_kept_does_no_harm_twice(server, study):  # noqa: F811
    """It is in the cache, and there alone: no study has it on record."""
    folder = cached(server, study)
    [done] = folder.glob("*.done")
    (study / "data/checksums.json").unlink()
    done.write_bytes(ANSWER)
    digest = hashlib.sha256(ANSWER).hexdigest()
    table = {Net.source.url: {"size": len(ANSWER), "sha256": digest}}
    (folder / "checksums.json").write_text(json.dumps(table))
    with pytest.raises(ModelError, match="lab/net cannot be read"):
        pretrained.run(ask(study), study)
    pretrained.run(ask(study), study)
    assert json.loads((study / RECORD).read_text())["weights"] == "lab/net"


def cached(server, study):  # noqa: F811
    """Run the stage; return the folder in the cache that holds the file."""
    pretrained.run(ask(study), study)
    [done] = pretrained.cache().glob("*/*.done")
    return done.parent


def test_another_file_than_recorded_is_not_called_published(server, study):  # noqa: F811
    table = {Net.source.url: {"size": 42, "sha256": "0" * 64}}
    (study / "data/checksums.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=r"expected 42 as recorded in checksums.json"):
        pretrained.run(ask(study), study)


def test_studies_with_other_files_on_record_leave_each_other_theirs(
    server,
    study,  # noqa: F811
    tmp_path,
):
    second = stored(theirs(6))
    pretrained.run(ask(study), study)
    other = tmp_path / "other"
    (other / "data").mkdir(parents=True)
    entry = {"size": len(second), "sha256": hashlib.sha256(second).hexdigest()}
    (other / "data/checksums.json").write_text(json.dumps({Net.source.url: entry}))
    answer(server, second)
    pretrained.run(ask(other), other)
    server.pages.clear()
    for place, seed in ((study, 5), (other, 6), (study, 5)):
        pretrained.run(ask(place), place)
        found = checkpoint.read_tensors(place / "data/pretrained/weights.safetensors")
        assert torch.equal(found["body.weight"], theirs(seed)["body.weight"])
    assert len(server.asked) == 2


@pytest.mark.parametrize("known", ["", "prefix", "whole"])
@pytest.mark.parametrize(
    "damage", [b"", BYTES[:100], BYTES[:-1] + b"?"], ids=["empty", "cut", "changed"]
)
def test_a_damaged_file_in_the_cache_is_fetched_again(
    server,
    study,  # noqa: F811
    monkeypatch,
    known,
    damage,
):
    digest = hashlib.sha256(BYTES).hexdigest()
    wanted = {"": "", "prefix": digest[:8], "whole": digest}[known]
    monkeypatch.setattr(Net, "source", replace(Net.source, sha256=wanted))
    [done] = cached(server, study).glob("*.done")
    done.write_bytes(damage)
    pretrained.run(ask(study), study)
    assert len(server.asked) == 2
    assert done.read_bytes() == BYTES


def test_a_file_that_has_left_the_cache_binds_no_other_study(server, study, tmp_path):  # noqa: F811
    [done] = cached(server, study).glob("*.done")
    done.unlink()
    answer(server, stored(theirs(6)))
    other = tmp_path / "other"
    other.mkdir()
    pretrained.run(ask(other), other)
    with pytest.raises(DataError, match=r"expected .* as recorded in checksums.json"):
        pretrained.run(ask(study), study)
    pretrained.run(ask(other), other)
    assert len(server.asked) == 3


def test_foreign_half_precision_is_kept_as_float32(server, study):  # noqa: F811
    halves = {k: v.bfloat16() for k, v in theirs().items()}
    save_file(halves, study / "theirs.safetensors")
    pretrained.run(ask(study, "theirs.safetensors"), study)
    found = checkpoint.read_tensors(study / "data/pretrained/weights.safetensors")
    assert all(torch.equal(found[k], v.float()) for k, v in halves.items())
