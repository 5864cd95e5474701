"""`mixdata info`."""

import json
from typing import Any

from mixdata.cli.options import DatasetPath, Json
from mixdata.text import size


def info(dataset: DatasetPath, as_json: Json = False) -> None:
    """Print what a dataset is: format, splits, roles, codec, licence, identity.

    Example: `mixdata info my-set`
    """
    from mixdata.shards.reader import open_dataset

    meta = open_dataset(dataset).meta
    if as_json:
        print(json.dumps(meta, indent=1, ensure_ascii=False))
        return
    print(f"{dataset}: {meta['title'] or meta['name']} (recipe {meta['recipe']}, identity {meta['identity'][:16]})")
    print(f"audio     {meta['sample_rate']} Hz, {meta['channels']} channels, {meta['codec']}, blocks of {meta['block_seconds']:g} s")
    print(f"crops     {'may run over block borders' if meta['continuous'] else 'stay inside a block'}")
    for role, stems in meta["roles"].items():
        varies = role in meta.get("variable", ())
        print(f"{role:9} {f'up to {len(stems)} tracks, as many as the song has ({stems[0]} …)' if varies else ', '.join(stems)}")
    for name, split in meta["splits"].items():
        total = size(sum(shard["bytes"] for shard in split["shards"]))
        counts = f"{split['songs']} songs, {split['examples']} examples, {split['seconds'] / 3600:.2f} h"
        print(f"{name:9} {counts}, {total} in {len(split['shards'])} shards")
    print(f"licence   {', '.join(meta['licence'])}{_whole(meta)}")


def _whole(meta: dict[str, Any]) -> str:
    result = meta.get("licences", {}).get("result")
    return f"; of the whole: {result['id']} (mixdata licence explains it)" if result else ""
