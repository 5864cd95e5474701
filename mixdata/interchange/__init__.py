"""In and out: datasets as other tools want them, and other people's tars as datasets.

export("my-set", "musdb", "my-set-musdb")            webdataset, hf, musdb or folder
import_webdataset(["train-000.tar"], "their-set")    an index of tars that stay where and as they are
"""

from mixdata.interchange.exporting import CODECS, TARGETS, export
from mixdata.interchange.importing import import_webdataset

__all__ = ["CODECS", "TARGETS", "export", "import_webdataset"]
