"""The dataset card (README.md with Hugging Face's front matter) and croissant.json."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa

from mixdata.files import publish_bytes
from mixdata.licence_sets import explained, of_set
from mixdata.licences import hugging_face, licence
from mixdata.recipes import strict_yaml
from mixdata.shards.format import CODECS

ARROW_TO_CROISSANT = {"string": "sc:Text", "int32": "sc:Integer", "int64": "sc:Integer", "float": "sc:Float", "double": "sc:Float"}


def write_card(folder: Path, meta: dict[str, Any], songs: list[dict[str, Any]], examples: pa.Table) -> None:
    """Write README.md and croissant.json. `meta` is dataset.json's content, `songs` the rows of songs.parquet."""
    publish_bytes(folder / "README.md", card(meta, songs).encode())
    publish_bytes(folder / "croissant.json", (json.dumps(croissant(meta, examples), indent=1) + "\n").encode())


def card(meta: dict[str, Any], songs: list[dict[str, Any]]) -> str:
    """Return the card's text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mixdata.report"), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    warnings = Counter(kind for row in songs if row["status"] == "used" for kind in row["warnings"])
    rejections = Counter(row["reason"] for row in songs if row["status"] == "rejected")
    used = [row for row in songs if row["status"] == "used"]
    corpora = Counter((row["corpus"], row["licence"]) for row in used)
    return environment.get_template("card.md.j2").render(
        meta=meta,
        front_matter=strict_yaml.dump(front_matter(meta)),  # without aliases: datasets changes what it parsed, once per alias
        suffix=CODECS[meta["codec"]].removeprefix("."),
        corpora=sorted(corpora.items()),
        warnings=sorted(warnings.items()),
        rejections=sorted(rejections.items()),
        licences=_licences(meta),
        explained=explained(_licences(meta)["result"]),
        seconds=sum(split["seconds"] for split in meta["splits"].values()),
    )


def front_matter(meta: dict[str, Any]) -> dict[str, Any]:
    """Return what Hugging Face's `load_dataset(folder)` needs to be told, because it guesses wrong.

    FLAC members are declared as bytes: its own audio feature wants torchcodec. The record is declared as free JSON (a type since
    datasets 4.7): its fields differ between examples, and Arrow's structs would not fit them.
    """
    suffix = CODECS[meta["codec"]].removeprefix(".")
    audio = [f"{role}.{stem}.{suffix}" for role, stems in meta["roles"].items() for stem in stems]
    kind: dict[str, Any] = {"list": {"list": "int16"}} if suffix == "npy" else {"dtype": "binary"}
    features: list[dict[str, Any]] = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
    features += [{"name": name, **kind} for name in audio] + [{"name": "json", "dtype": "json"}]
    files = [{"split": split, "path": f"shards/{split}-*.tar"} for split in meta["splits"]]
    return {
        **_license(_licences(meta)["result"]),
        "pretty_name": meta["title"] or meta["name"],
        "task_categories": ["audio-to-audio"],
        "tags": ["music", "automatic-mixing", "multitrack", "webdataset", "mixdata"],
        "configs": [{"config_name": "default", "data_files": files, "default": True}],
        "dataset_info": {"config_name": "default", "features": features},
    }


def _licences(meta: dict[str, Any]) -> dict[str, Any]:
    """Return what dataset.json says of licences; of sets that were built before it said so, what follows from the list of them."""
    return dict(meta.get("licences") or of_set(meta["licence"], {}, "any"))


def _license(result: dict[str, Any]) -> dict[str, str]:
    """Return the front matter's `license` and, where Hugging Face has no id for it, its name."""
    id = hugging_face(result["id"])
    name = result["id"] if result["id"] not in ("other", "unknown") else "; ".join(result["parts"])
    return {"license": id} if id not in ("other", "unknown") else {"license": id, "license_name": name}


def croissant(meta: dict[str, Any], examples: pa.Table) -> dict[str, Any]:
    """Return the dataset's description in the Croissant 1.0 vocabulary of MLCommons."""
    distribution: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": f"shards/{shard['name']}.tar",
            "name": f"{shard['name']}.tar",
            "contentUrl": f"shards/{shard['name']}.tar",
            "encodingFormat": "application/x-tar",
            "contentSize": f"{shard['bytes']} B",
            "sha256": shard["sha256"],
        }
        for split in meta["splits"].values()
        for shard in split["shards"]
    ]
    table = {"@type": "cr:FileSet", "@id": "examples", "name": "examples", "encodingFormat": "application/x-parquet"}
    distribution.append(table | {"includes": "examples.parquet"})
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"examples/{field.name}",
            "name": field.name,
            "dataType": ARROW_TO_CROISSANT.get(str(field.type), "sc:Text"),
            "source": {"fileSet": {"@id": "examples"}, "extract": {"column": field.name}},
        }
        for field in examples.schema
    ]
    return {
        "@context": {
            "@vocab": "https://schema.org/",
            "sc": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "dct": "http://purl.org/dc/terms/",
            "conformsTo": "dct:conformsTo",
            "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
            "extract": "cr:extract",
            "field": "cr:field",
            "fileSet": "cr:fileSet",
            "includes": "cr:includes",
            "recordSet": "cr:recordSet",
            "source": "cr:source",
            "column": "cr:column",
        },
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": meta["name"],
        "description": meta["title"] or meta["name"],
        "license": [licence(id).url or id for id in _licences(meta)["result"]["parts"]],
        "version": f"{meta['format_version']}.0.0",
        "distribution": distribution,
        "recordSet": [{"@type": "cr:RecordSet", "@id": "examples-table", "name": "examples-table", "field": fields}],
    }
