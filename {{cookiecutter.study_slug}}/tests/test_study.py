"""One clip goes through the whole path that params.yaml describes."""

import subprocess
import sys
from pathlib import Path

STUDY = Path(__file__).resolve().parents[1]


def test_params_fit_and_a_clip_passes():
    answer = subprocess.run(
        [sys.executable, "-m", "rehear", "check"],
        cwd=STUDY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "logits" in answer.stdout
