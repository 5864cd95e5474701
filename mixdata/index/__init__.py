"""Manifests: a corpus looked at once, as a Parquet table with a row per track, from which builds start without reading it again."""

from mixdata.index.check import Check, Fault, check_corpus, checksums_of, from_root
from mixdata.index.manifest import IndexedTrack, Manifest, folder_of, load_manifest, read_manifest
from mixdata.index.run import Outcome, index_corpus

__all__ = [
    "Check",
    "Fault",
    "IndexedTrack",
    "Manifest",
    "Outcome",
    "check_corpus",
    "checksums_of",
    "folder_of",
    "from_root",
    "index_corpus",
    "load_manifest",
    "read_manifest",
]
