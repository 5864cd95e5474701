"""Whatever is changed in a dataset, `verify` says so, and where."""

import hashlib
import io
import json
import pickle
import shutil
import tarfile
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mixdata
from conftest import files_of, small_recipe
from mixdata.errors import MixdataError, UsageError
from mixdata.shards.format import encode
from mixdata.shards.index import FILES, checksum, example_rows, example_table, index_tar
from mixdata.shards.reader import open_dataset
from mixdata.shards.verify import ShardFacts, rows_by_shard, sum_tolerance, verify
from mixdata.shards.writer import publish_table, write_shard


@pytest.fixture
def copy(built, tmp_path):
    shutil.copytree(built, tmp_path / "set")
    return tmp_path / "set"


def shards_of(folder):
    return [shard["name"] for split in json.loads((folder / "dataset.json").read_text())["splits"].values() for shard in split["shards"]]


def told(folder):
    return "\n".join(map(str, verify(folder)))


def change(folder, leave_out=(), **content):
    """Put other content into dataset.json and leave everything else, its checksum too."""
    meta = json.loads((folder / "dataset.json").read_text()) | content
    (folder / "dataset.json").write_text(json.dumps({name: value for name, value in meta.items() if name not in leave_out}))


def forge(folder, **content):
    """Put all hashes and sizes in dataset.json right, as somebody would who wants to hide a change."""
    meta = json.loads((folder / "dataset.json").read_text()) | content
    for split in meta["splits"].values():
        for shard in split["shards"]:
            tar, table = folder / "shards" / f"{shard['name']}.tar", folder / "shards" / f"{shard['name']}.parquet"
            shard |= {"sha256": sha256(tar), "bytes": tar.stat().st_size, "table_sha256": sha256(table)}
    meta["files"] = {name: sha256(folder / name) for name in meta["files"]}
    change(folder, **meta | {"checksum": checksum(meta)})


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rewrite(folder, edit):
    """Put `edit(name, data)` in place of the members of the first shard's first example, with all tables and hashes made right."""
    path = folder / "shards" / f"{shards_of(folder)[0]}.tar"
    with tarfile.open(path) as tar:
        members = [(info.name, tar.extractfile(info).read()) for info in tar]
    key = members[0][0].partition(".")[0]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            name, data = edit(name, data) if name.startswith(key) else (name, data)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with suppress(MixdataError):  # some edits leave no shard that tables could be made from
        publish_table(path.with_suffix(".parquet"), index_tar(path)[0])
        publish_table(folder / "examples.parquet", example_table(example_rows(folder, shards_of(folder))))
    forge(folder)


def edit_record(folder, edit):
    """Put `edit(record)` in place of the record of the first example."""
    rewrite(folder, lambda name, data: (name, json.dumps(edit(json.loads(data))).encode() if name.endswith(".json") else data))


def test_a_fresh_set_is_clean_with_any_number_of_workers(built):
    assert verify(built) == [] and verify(built, workers=2) == []


def test_the_tables_can_be_made_again_from_the_tars_alone(built):
    for name in shards_of(built):
        table, _ = index_tar(built / "shards" / f"{name}.tar")
        assert table.equals(pq.read_table(built / "shards" / f"{name}.parquet"))
    examples = example_table(example_rows(built, shards_of(built)))
    assert examples.equals(pq.read_table(built / "examples.parquet"))


@pytest.mark.parametrize("name", [*FILES, "shard.tar", "shard.parquet"])
def test_one_flipped_byte_anywhere_is_noticed(copy, name):
    path = copy / name.replace("shard", f"shards/{shards_of(copy)[0]}")
    generator = np.random.default_rng(1)
    for place in generator.integers(0, path.stat().st_size, 3):
        data = bytearray(path.read_bytes())
        data[place] ^= 0x20
        path.write_bytes(data)
        assert path.name in told(copy) or path.stem in told(copy), place
        data[place] ^= 0x20
        path.write_bytes(data)
    assert told(copy) == ""


def test_a_shard_cut_between_two_members_or_two_examples_is_noticed(copy):
    name = shards_of(copy)[0]
    path = copy / "shards" / f"{name}.tar"
    whole = path.read_bytes()
    members = pq.read_table(copy / "shards" / f"{name}.parquet").to_pylist()
    for number in (3, next(n for n, row in enumerate(members) if row["role"] == "record") + 1):
        path.write_bytes(whole[: members[number]["byte_offset"] - 512])
        assert "cut off" in told(copy) or "no end" in told(copy), number


def test_missing_and_foreign_files_are_named(copy):
    names = shards_of(copy)
    (copy / "shards" / f"{names[0]}.tar").unlink()
    (copy / "songs.parquet").unlink()
    (copy / "shards" / "train-999999.tar").write_bytes(b"")
    text = told(copy)
    assert f"{names[0]}.tar: is missing" in text and "songs.parquet: is missing" in text
    assert "train-999999.tar: is not in dataset.json" in text


def test_stems_that_do_not_sum_are_named_though_every_hash_is_right(copy):
    """Someone writes another mixture of the same length and puts all hashes right."""
    dataset = open_dataset(copy)
    name = dataset.examples["shard"].iloc[0]
    examples = [dataset.load(key) for key in dataset.examples[dataset.examples["shard"] == name]["key"]]
    examples[0].roles["target"]["mixture"] = examples[0].roles["target"]["mixture"] * np.float32(0.99)
    write_shard(copy, name, "id", examples, dataset.codec)
    publish_table(copy / "examples.parquet", example_table(example_rows(copy, shards_of(copy))))
    forge(copy)
    problems = verify(copy)
    assert problems and all("miss mixture by up to" in problem.what for problem in problems)
    assert examples[0].key in problems[0].where


def test_an_unfinished_or_foreign_folder_is_a_usage_error(copy, tmp_path):
    (copy / "dataset.json").unlink()
    with pytest.raises(UsageError, match="not finished"):
        verify(copy)
    with pytest.raises(UsageError):
        verify(tmp_path / "nowhere")


def test_links_and_devices_in_a_tar_are_refused(tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        link = tarfile.TarInfo("a.input.vocals.flac")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(MixdataError, match="not a plain file"):
        index_tar(tmp_path / "evil.tar")


def test_the_tolerance_is_half_a_step_per_rounding():
    assert sum_tolerance(4, "flac16") == 2 and sum_tolerance(3, "npy16") == 2 and sum_tolerance(6, "flac16") == 3
    assert sum_tolerance(4, "flac24") == 3


def test_equal_audio_in_another_order_of_members_is_not_the_same_table(copy):
    name = shards_of(copy)[0]
    table = pq.read_table(copy / "shards" / f"{name}.parquet")
    swapped = table.take(pa.array([1, 0, *range(2, len(table))])).replace_schema_metadata(table.schema.metadata)
    pq.write_table(swapped, copy / "shards" / f"{name}.parquet")
    assert "is not the index of the tar beside it" in told(copy)


def test_nothing_was_written_by_verifying(built):
    before = files_of(built)
    verify(built)
    assert files_of(built) == before
    assert encode(np.zeros((2, 4), np.float32), 8000, "npy16")


@pytest.mark.parametrize(
    "content",
    [
        {"sums": []},
        {"licence": ["another"]},
        {"fingerprints": []},
        {"identity": "0" * 64},
        {"block_seconds": 3.0},
        {"title": "Another"},
        {"machine": {}},
        {"steps": []},
        {"note": "new"},
    ],
    ids=lambda content: next(iter(content)),
)
def test_any_other_content_of_dataset_json_is_noticed(copy, content):
    change(copy, **content)
    assert told(copy) == "dataset.json: was changed since the build (its content does not have its checksum)"


@pytest.mark.parametrize("name", ["sums", "continuous", "files", "checksum"])
def test_what_dataset_json_must_say_is_named_where_it_is_missing(copy, name):
    change(copy, leave_out=[name])
    assert told(copy) == f"dataset.json: {name}: field required"


def test_a_file_without_a_hash_and_a_hash_of_a_file_elsewhere_are_refused(copy):
    meta = json.loads((copy / "dataset.json").read_text())
    without = {name: found for name, found in meta["files"].items() if name != "README.md"}
    change(copy, files=without, checksum=checksum(meta | {"files": without}))
    assert told(copy) == "README.md: has no hash in dataset.json"
    change(copy, files={**meta["files"], "../../other": "0"})
    assert "dataset.json: files.../../other" in told(copy)


def test_a_promise_about_a_role_that_is_not_there_is_named_and_the_rest_checked(copy):
    forge(copy, sums=[{"role": "nowhere", "total": "mixture"}])
    (copy / "README.md").unlink()
    assert told(copy).splitlines() == ["dataset.json sums: there is no nowhere.mixture among the roles", "README.md: is missing"]


def test_a_set_without_its_shards_is_described_not_crashed_on(copy):
    names = shards_of(copy)
    shutil.rmtree(copy / "shards")
    text = told(copy)
    assert "shards: cannot be read" in text and all(f"{name}.tar: is missing" in text for name in names)


def test_other_files_beside_the_shards_are_named_even_under_a_shards_name(copy):
    (copy / "shards" / f"{shards_of(copy)[0]}.txt").write_text("")
    assert told(copy) == f"shards/{shards_of(copy)[0]}.txt: is not in dataset.json"


@pytest.mark.parametrize("size", [2**62, -1, 10**9])
def test_a_member_longer_than_its_file_takes_no_memory(copy, size):
    name = shards_of(copy)[0]
    path = copy / "shards" / f"{name}.tar"
    info = tarfile.TarInfo("a.input.vocals.flac")
    info.size = size
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + path.read_bytes()[512:])
    forge(copy)
    (problem,) = verify(copy)
    assert problem.where == f"shards/{name}" and "cut off inside 'a.input.vocals.flac'" in problem.what


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda record: [record], "should be an object"),
        (lambda record: without(record, "song"), "song: field required"),
        (lambda record: record | {"song": "a title"}, "song: "),
        (lambda record: without(record, "start"), "start: field required"),
        (lambda record: record | {"start": -1}, "start: "),
        (lambda record: record | {"start": 2**63}, "start: "),
        (lambda record: record | {"active": []}, "active: "),
        (lambda record: record | {"active": {"input": []}}, "active.input: "),
        (lambda record: record | {"codec": "mp3"}, "codec: "),
        (lambda record: record | {"scale": float("nan")}, "scale: "),
        (lambda record: record | {"activity": {"vocals": 1e300}}, "activity.vocals: "),
        (lambda record: record | {"key": "another-00000000_00000"}, "stands behind members of another example"),
    ],
)
def test_a_record_of_another_shape_is_a_problem_of_its_shard_alone(copy, edit, complaint):
    """The record is hashed right everywhere; only its shape is wrong."""
    edit_record(copy, edit)
    (problem,) = verify(copy)
    assert complaint in problem.what and problem.where == f"shards/{shards_of(copy)[0]}"


def without(record, name):
    return {other: value for other, value in record.items() if other != name}


def test_problems_are_the_same_with_any_number_of_workers(copy):
    edit_record(copy, lambda record: [record])
    (copy / "shards" / f"{shards_of(copy)[1]}.tar").unlink()
    assert len(verify(copy)) == 2 and verify(copy, workers=2) == verify(copy)


def test_members_with_foreign_names_are_refused(copy):
    rewrite(copy, lambda name, data: (name.replace("input.vocals", "input.lead.vocals"), data))
    assert "is not named <key>.<role>.<stem>.flac" in told(copy)


def test_members_of_a_role_that_nobody_promised_are_named(copy):
    def edit(name, data):
        return name.replace(".input.other.", ".extra.other."), data

    rewrite(copy, edit)
    assert "'extra': ['other']" in told(copy)


def test_keys_are_judged_as_a_whole(copy):
    def edit(name, data):
        key, _, suffix = name.partition(".")
        return f"{key}\n.{suffix}", data.replace(f'"key":"{key}"'.encode(), f'"key":"{key}\\n"'.encode())

    rewrite(copy, edit)
    assert "is not a valid key" in told(copy)


def test_a_sample_rate_other_than_the_datasets_is_named(copy):
    edit_record(copy, lambda record: record | {"sample_rate": 8000})
    assert "sample rate, channels and codec are (8000, 2, 'flac16')" in told(copy)


def test_a_count_of_examples_that_is_not_the_shards_is_named(copy):
    splits = json.loads((copy / "dataset.json").read_text())["splits"]
    splits["train"]["shards"][0]["examples"] += 1
    forge(copy, splits=splits)
    assert "examples, dataset.json says" in told(copy)


@pytest.fixture(scope="module")
def built_npy(tmp_path_factory):
    out = tmp_path_factory.mktemp("npy") / "set"
    mixdata.build(small_recipe("output.codec=npy16"), out, ["synth:songs=3,seconds=5,sample_rate=16000"], workers=0, quiet=True)
    return out


def resaved(data, edit):
    buffer = io.BytesIO()
    np.save(buffer, edit(np.load(io.BytesIO(data))))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: resaved(data, np.asfortranarray),
        lambda data: resaved(data, lambda audio: audio.astype(">i2")),
        lambda data: resaved(data, lambda audio: audio.astype("<i4")),
        lambda data: data + b"\0\0",
    ],
    ids=["order", "byte order", "width", "something behind"],
)
def test_npy_members_lie_as_readers_take_them(built_npy, tmp_path, edit):
    assert verify(built_npy) == []
    folder = shutil.copytree(built_npy, tmp_path / "set")
    rewrite(folder, lambda name, data: (name, edit(data) if name.endswith("input.bass.npy") else data))
    (problem,) = verify(folder)
    assert "input.bass is not what readers take it for" in problem.what


@pytest.mark.parametrize("header", [b"(" * 5000, b"{'descr': '|O'}", b'"' * 3])
def test_npy_headers_of_any_kind_are_problems(built_npy, tmp_path, header):
    folder = shutil.copytree(built_npy, tmp_path / "set")
    data = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    rewrite(folder, lambda name, old: (name, data if name.endswith("input.bass.npy") else old))
    assert len(verify(folder)) == 1


def test_the_examples_table_is_read_once_however_many_shards_there_are(built, monkeypatch):
    read = []
    real = pq.read_table
    monkeypatch.setattr(pq, "read_table", lambda path, *args, **kwargs: read.append(str(path)) or real(path, *args, **kwargs))
    assert verify(built) == [] and len(shards_of(built)) > 1
    assert sum(path.endswith("examples.parquet") for path in read) == 1


def test_a_worker_is_sent_its_own_rows_only():
    names = [f"train-{number:06d}" for number in range(1000)]
    table = pa.table(
        {"key": [f"{name}_{row}" for name in names for row in range(10)], "shard": [name for name in names for _ in range(10)]}
    )
    shards = [ShardFacts(name=name, sha256="", bytes=0, examples=10, table_sha256="") for name in (*names, "train-999999")]
    parts = list(rows_by_shard(shards, table))
    assert pa.concat_tables(parts).equals(table) and len(parts[-1]) == 0
    assert max(len(pickle.dumps(part)) for part in parts) < table.nbytes / 100


def test_shards_are_joined_as_tables_with_measures_in_order_of_first_appearance(built):
    parts = list(example_rows(built, shards_of(built)))
    assert [part["shard"].unique().to_pylist() for part in parts] == [[name] for name in shards_of(built)]
    one, other = parts[0].select(["key", "activity_bass"]), parts[1].select(["key", "activity_vocals", "activity_bass"])
    joined = example_table(iter([one, other]))
    assert (
        joined.column_names == ["key", "activity_bass", "activity_vocals"] and joined.schema.field("activity_vocals").type == pa.float32()
    )
    assert joined["activity_vocals"].to_pylist() == [None] * len(one) + other["activity_vocals"].to_pylist()
    assert all(joined[name].num_chunks == 1 for name in joined.column_names)


def test_a_measure_that_the_records_do_not_have_is_noticed(copy):
    table = pq.read_table(copy / "examples.parquet")
    publish_table(copy / "examples.parquet", table.append_column("activity_flute", pa.array([0.5] * len(table), pa.float32())))
    forge(copy)
    whats = {problem.what for problem in verify(copy)}
    assert whats == {f"its rows of shard {name} are not what the tar's records say" for name in shards_of(copy)}
