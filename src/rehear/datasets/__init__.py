"""Data sets, by name.

To add one, write a class with these attributes and the method ``fetch``, and
name it here:

- ``title``, ``citation``, ``licence``, ``url`` and ``size`` (a short text): for
  the card of the data set and for reports
- ``tasks``: names of the tasks that it has labels for
- ``needs_source``: whether the user puts the recordings into ``fetch.source``
- ``published``: whether everyone who has them has the same recordings; then
  others than the recorded ones are refused
- ``folds``: names of the official folds, if there are any, and ``folds_note``,
  why no others should be drawn
- ``fetch(raw, *, task, source, downloads)``: returns a ``Manifest`` with ids,
  files (relative to ``raw`` or ``source``), labels or targets, splits, folds,
  groups and attributes; the rest is filled in by reading the recordings
"""

from rehear.catalogue import Catalogue

DATASETS = Catalogue(
    "data set",
    {
        "audacity": "rehear.datasets.audacity:Audacity",
        "audb": "rehear.datasets.audb:Audb",
        "audformat": "rehear.datasets.audformat:Audformat",
        "audioset": "rehear.datasets.audioset:AudioSet",
        "csv": "rehear.datasets.table:Table",
        "dcase2016": "rehear.datasets.dcase2016:AcousticScenes2016",
        "dcase2018": "rehear.datasets.dcase2018:BirdDetection2018",
        "dcase2020": "rehear.datasets.dcase2020:AcousticScenes2020",
        "edansa2019": "rehear.datasets.edansa2019:EDANSA2019",
        "embedded": "rehear.datasets.embedded:Embedded",
        "emodb": "rehear.datasets.emodb:EmoDB",
        "esc50": "rehear.datasets.esc50:ESC50",
        "fau_aibo": "rehear.datasets.fau_aibo:FauAibo",
        "folder": "rehear.datasets.folders:Folders",
        "fsdd": "rehear.datasets.fsdd:FreeSpokenDigits",
        "hf_folder": "rehear.datasets.huggingface:HuggingFaceFolder",
        "msp_podcast": "rehear.datasets.msp_podcast:MspPodcast",
        "raven": "rehear.datasets.raven:Raven",
        "speech_commands": "rehear.datasets.speech_commands:SpeechCommands",
        "urbansound8k": "rehear.datasets.urbansound8k:UrbanSound8K",
    },
)
