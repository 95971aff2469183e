"""Refuse answers that do not fit, before anything is written."""

from __future__ import annotations

import json
import keyword
import re
import sys

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

#: Data sets that do not serve every task.
TASKS = {"fsdd": ("classification",), "folder": ("classification",)}
WHY = {
    "fsdd": "its recordings have one spoken digit each",
    "folder": "the folder that a recording is in is its class",
}
#: Names that a study's package would hide, or that would hide it.
TAKEN = {
    "cookiecutter", "data", "docs", "dvc", "librosa", "metrics", "models", "numpy",
    "omegaconf", "opensmile", "pandas", "predictions", "pytest", "rehear", "reports",
    "rich", "sklearn", "soundfile", "src", "test", "tests", "torch", "torchaudio",
    "vendor",
}  # fmt: skip


def problems(answers: dict[str, str]) -> list[str]:
    """Return what is wrong with the answers, one sentence for each."""
    found = [
        _text("title", answers["title"]),
        _text("author", answers["author"]),
        _slug(answers["study_slug"]),
        _email(answers["email"]),
        _fit(answers["task"], answers["dataset"]),
        _remote(answers["remote"], answers["remote_url"]),
    ]
    return [problem for problem in found if problem]


def _text(question: str, text: str) -> str:
    if not text.strip():
        return f"{question} is empty; give the study one"
    # The text goes into YAML, TOML and BibTeX, between double quotes.
    wrong = sorted(set(re.findall(r'["\\{}]|[\x00-\x1f\x7f]', text)))
    if wrong:
        shown = ", ".join(map(repr, wrong))
        return f"{question} {text!r} holds {shown}; write it without"
    return ""


def _slug(slug: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", slug):
        return (
            f"study_slug {slug!r} cannot name a folder and a Python package; expected "
            "lower-case letters, digits, - and _, beginning with a letter, such as "
            "'bird-calls'"
        )
    package = slug.replace("-", "_")
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        return f"study_slug {slug!r} is a keyword of Python; choose another name"
    if package in TAKEN or package in sys.stdlib_module_names:
        return (
            f"study_slug {slug!r} is taken by another Python package or folder; "
            f"choose another name, such as '{slug}-study'"
        )
    return ""


def _email(email: str) -> str:
    if email and not re.fullmatch(r"[^@\s\"\\{}<>]+@[^@\s\"\\{}<>]+", email):
        return f"email {email!r} is not an address; expected name@host, or nothing"
    return ""


def _fit(task: str, dataset: str) -> str:
    tasks = TASKS.get(dataset, (task,))
    if task in tasks:
        return ""
    return (
        f"data set '{dataset}' does not fit task '{task}': {WHY[dataset]}; choose "
        f"task {' or '.join(tasks)}, or data set embedded or csv"
    )


def _remote(remote: str, url: str) -> str:
    if remote == "none" and url:
        return f"remote_url is {url!r}, but remote is none; choose local or s3"
    if re.search(r'["\\{}\s]', url):
        return f"remote_url {url!r} holds a blank, quote, brace or backslash"
    if remote == "s3" and not re.fullmatch(r"s3://[^/]+(/.*)?", url):
        return f"remote_url {url!r} is not a bucket; expected s3://bucket/folder"
    if remote == "local" and (not url or "://" in url):
        return f"remote_url {url!r} is not a folder; expected a path such as ../copies"
    return ""


def main() -> int:
    """Print what is wrong, if anything is."""
    found = problems(ANSWERS)
    for problem in found:
        print(f"rehear: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
