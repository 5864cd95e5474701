"""What several tests share: a small dataset, built once per process, and where the real audio lies."""

import os
import signal
from pathlib import Path

import pytest

import mixdata
from mixdata.recipes import load_recipe

REPOSITORY = Path(__file__).resolve().parent.parent
REAL_AUDIO = REPOSITORY.parent / "shared" / "data"

SMALL = ["sample_rate=16000", "segment.seconds=2", "output.shard=300kB"]
SONGS = "synth:songs=5,seconds=7,sample_rate=16000"


def small_recipe(*settings: str, **overrides: object):
    """Return separated_pseudo, small enough for tests."""
    return load_recipe("separated_pseudo", [*SMALL, *settings], dict(overrides))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep the tests out of the user's cache."""
    os.environ["MIXDATA_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished small dataset. Do not write into it."""
    out = tmp_path_factory.mktemp("built") / "set"
    mixdata.build(small_recipe(), out, [SONGS], workers=0, quiet=True)
    return out


def hear_ctrl_c() -> None:
    """For `preexec_fn`: where the tests run in a shell's background, their children would be deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
