import re
import shutil
import subprocess
import sys

import pytest

from fake_runs import fake_study
from rehear import plots
from rehear.errors import StageError
from rehear.stages import postprocess

PIPELINE = """\
plots:
  - Loss <b>:
      template: learning_curves
      x: epoch
      y:
        metrics/curves.csv: [train_loss, dev_loss]
  - confusion:
      template: confusion_normalized
      x: predicted
      y:
        metrics/confusion.csv: actual
  - labels:
      template: labels
      x: recall
      y:
        metrics/per_class.csv: label
  - calibration:
      template: calibration
      x: confidence
      y:
        metrics/calibration.csv: accuracy
"""


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@pytest.fixture
def study(tmp_path, repository):
    """Two commits of one study, with the repository's own plot templates."""
    git(tmp_path, "init", "-q")
    dvc = [sys.executable, "-m", "dvc", "init", "-q"]
    subprocess.run(dvc, cwd=tmp_path, check=True)
    shutil.copytree(repository / ".dvc" / "plots", tmp_path / ".dvc" / "plots")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / ".gitignore").write_text("/data\n/models\n/predictions\n")
    for seeds in ((1, 2), (3, 4)):
        values = fake_study(tmp_path, seeds=seeds, sounds=0)
        postprocess.run(values, tmp_path)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", str(seeds))
    return tmp_path


def test_plots_of_two_commits_are_drawn_on_a_page_that_loads_nothing(study, tmp_path):
    page = plots.render(study, ["HEAD~1", "HEAD"], tmp_path / "out")
    assert page == tmp_path / "out" / "index.html"
    text = page.read_text()
    assert text.count("<svg") == 4
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "Loss &lt;b&gt;" in text
    for shown in ("HEAD~1", "HEAD", "train_loss", "boredom"):
        assert shown in text
    # two runs and their mean, of two columns, in two commits
    loss = text[text.index("Loss &lt;b&gt;") :]
    loss = loss[: loss.index("</svg>")]
    assert len(re.findall(r'<path[^>]+stroke-width="(?:1|2.5)"', loss)) >= 12


def test_an_unknown_revision_is_named(study, tmp_path):
    with pytest.raises(StageError, match="diff nope` failed: unknown Git revision 'no"):
        plots.render(study, ["nope"], tmp_path / "out")


def test_without_plots_there_is_an_error_that_says_so(tmp_path):
    git(tmp_path, "init", "-q")
    dvc = [sys.executable, "-m", "dvc", "init", "-q"]
    subprocess.run(dvc, cwd=tmp_path, check=True)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "empty")
    with pytest.raises(StageError, match=r"no plots in the workspace.* dvc\.yaml"):
        plots.render(tmp_path, [], tmp_path / "out")


def test_a_figure_that_cannot_be_drawn_leaves_a_note(tmp_path):
    plot = {"type": "vega", "revisions": ["a"], "content": {"mark": "nonsense"}}
    figure = plots._figure(tmp_path, "<x>", plot, "p0")
    assert "&lt;x&gt; cannot be drawn" in figure


def test_pictures_are_put_into_the_page(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    plot = {"type": "image", "revisions": ["a"], "url": "a.png"}
    assert "data:image/png;base64,iVBORw==" in plots._figure(tmp_path, "x", plot, "p")
    plot["url"] = "gone.png"
    assert "no picture at" in plots._figure(tmp_path, "x", plot, "p")
