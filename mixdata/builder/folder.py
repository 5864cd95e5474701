"""The folder of a build: whose is it, what is finished in it, what is missing?"""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixdata import files
from mixdata.builder.plan import Plan, PlannedShard
from mixdata.builder.shard import outcome_bytes, outcome_path
from mixdata.errors import MixdataError, UsageError

FILES = {"dataset.json", "recipe.yaml", "targets.npz", "plan.parquet", "songs.parquet", "examples.parquet", "README.md", "croissant.json"}
OURS = FILES | {"shards", ".build"}
HASH = re.compile(r"[0-9a-f]{64}")


def read_meta(out: Path) -> dict[str, Any] | None:
    """Return dataset.json of a finished dataset, None where there is none. Raises where it is not one of ours."""
    path = out / "dataset.json"
    if not path.exists():
        return None
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MixdataError(f"{path}: cannot be read: {error}; delete the folder, or choose another --out") from None
    if not isinstance(meta, dict) or meta.get("format") != "mixdata":
        raise UsageError(f"{path}: is not of mixdata; choose a new or an empty folder")
    return meta


def refuse_foreign(out: Path) -> None:
    """Refuse a folder that holds anything but a dataset of ours or the beginnings of one."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out}: is a file; --out names a folder")
    with files.disk_errors(out):
        names = {path.name for path in out.iterdir() if not path.name.endswith(".tmp")}
    ours = read_meta(out) is not None or _unfinished(out) is not None or names <= {".build"}
    strangers = sorted(names - OURS)
    if strangers or (names and not ours):
        shown = ", ".join((strangers or sorted(names))[:3])
        raise UsageError(f"{out}: holds other files ({shown}{', …' if len(names) > 3 else ''}); choose a new or an empty folder")


def is_finished(out: Path, plan: Plan) -> bool:
    """Whether the folder holds exactly this dataset, whole. Raises `UsageError` where it holds another."""
    meta = read_meta(out)
    if meta is None:
        return False
    if meta.get("identity") != plan.identity:
        raise UsageError(
            f"{out}: holds a finished dataset of another recipe or other songs (identity {str(meta.get('identity'))[:12]}, this build is "
            f"{plan.identity[:12]}); choose another --out, or delete that folder if you no longer need it"
        )
    return not _damage(out, meta)


def claim(out: Path, plan: Plan) -> None:
    """Write down whose unfinished build this is, or refuse if it is another recipe's and has something finished in it.

    Other songs under the same recipe are no obstacle: shards are taken over by their ids. A finished dataset of which something was lost
    becomes unfinished again; its songs' outcomes are taken from its tables.
    """
    before = _unfinished(out)
    if before is not None and before != plan.recipe_identity and any((out / "shards").glob("*.parquet")):
        raise UsageError(
            f"{out}: holds an unfinished build of another recipe (identity {before[:12]}, this one is {plan.recipe_identity[:12]}); "
            "finish it with its own recipe, choose another --out, or delete the folder"
        )
    meta = read_meta(out)
    if meta is not None:
        _recover_outcomes(out, plan, meta)
    files.publish_bytes(out / ".build" / "identity", plan.recipe_identity.encode())  # from here on the folder is known as ours
    with files.disk_errors(out):
        (out / "dataset.json").unlink(missing_ok=True)
        for folder in (out, out / "shards", out / ".build" / "outcomes"):
            folder.mkdir(exist_ok=True, parents=True)
    sweep(out)


def sweep(out: Path) -> None:
    """Remove the temp files of workers that died. Call while none is at work."""
    with files.disk_errors(out):
        for folder in (out, out / "shards", out / ".build" / "outcomes"):
            files.remove_leftovers(folder)


def is_committed(out: Path, shard: PlannedShard) -> bool:
    """Whether the shard is there, whole, and of this plan. A shard whose songs were all left out has only its outcomes.

    A song that failed because a worker died does not count as done: it gets another chance.
    """
    try:
        found = json.loads(outcome_path(out, shard.name).read_text(encoding="utf-8"))
        if found["shard_id"] != shard.id or any(row["reason"] in ("failed", "changed") for row in found["songs"]):
            return False
        if all(row["status"] == "rejected" for row in found["songs"]):
            return True
        metadata = pq.read_schema(out / "shards" / f"{shard.name}.parquet").metadata
        size = (out / "shards" / f"{shard.name}.tar").stat().st_size
        return metadata[b"mixdata.shard_id"].decode() == shard.id and int(metadata[b"mixdata.tar_bytes"]) == size
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return False


def release(out: Path) -> None:
    """Remove what only an unfinished build needs."""
    shutil.rmtree(out / ".build", ignore_errors=True)


def _unfinished(out: Path) -> str | None:
    """Return the recipe identity of the unfinished build in this folder, if there is one."""
    try:
        text = (out / ".build" / "identity").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return text if HASH.fullmatch(text) else None


def _damage(out: Path, meta: dict[str, Any]) -> bool:
    """Whether anything is missing or of another size or content than dataset.json says (tars are not read for this)."""
    for name, sha256 in meta.get("files", {}).items():
        path = out / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            return True
    shards = [shard for split in meta["splits"].values() for shard in split["shards"]]
    paths = [(out / "shards" / f"{shard['name']}.tar", shard) for shard in shards]
    return any(
        not path.is_file() or path.stat().st_size != shard["bytes"] or not path.with_suffix(".parquet").is_file() for path, shard in paths
    )


def _recover_outcomes(out: Path, plan: Plan, meta: dict[str, Any]) -> None:
    path = out / "songs.parquet"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != meta.get("files", {}).get("songs.parquet"):
        return  # then everything is built again
    rows = {row["song"]: row for row in pq.read_table(path).to_pylist() if row["song"] is not None and row["split"] is not None}
    for shard in plan.shards:
        songs = [rows.get(planned.song.id) for planned in shard.songs]
        if None not in songs:
            files.publish_bytes(outcome_path(out, shard.name), outcome_bytes(shard.id, [row for row in songs if row is not None]))
