"""The recipe automix: tracks of any number as they are, the engineer's mix as target, aligned or refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mixdata
import mixdata.effects as fx
from conftest import files_of
from mixdata import audio, load_corpus
from mixdata.builder.plan import make_plan
from mixdata.builder.run import estimate, plan_build
from mixdata.builder.shard import run_song
from mixdata.builder.survey import Place, PlannedSong
from mixdata.corpora import Corpus
from mixdata.errors import MixdataError, RecipeError, SongError
from mixdata.recipes import scratch
from mixdata.recipes.model import load_recipe
from mixdata.recipes.work import load_work
from mixdata.song import Song, Track
from trees import noise, shared

RATE = 16_000
SECONDS = 12.0
AS_THEY_ARE = (f"sample_rate={RATE}", "tracks.loudness=null", "output.codec=npyf32", "segment.seconds=4")


def of(songs: list[Song]) -> Corpus:
    return Corpus(load_corpus("demo").facts, "demo", None, {}, [replace(song, corpus="demo", licence="CC0-1.0") for song in songs])


def parts(number: int = 0, seconds: float = SECONDS) -> dict[str, np.ndarray]:
    """Return the stems of a synthetic song."""
    song = next(iter(load_corpus(f"synth:songs=1,first={number},seconds={seconds:g},sample_rate={RATE}")))
    return {name: track.read()[0] for name, track in song.stems.items()}


def written(folder: Path, tracks: dict[str, np.ndarray], rate: int = RATE) -> dict[str, Track]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in tracks.items():
        audio.write(folder / f"{name}.wav", samples, rate)
    return {name: Track(folder / f"{name}.wav", instrument=name) for name in tracks}


def raw_song(folder: Path, tracks: dict[str, np.ndarray], mix: np.ndarray | None = None, field: str = "published", **about) -> Song:
    mixes = {} if mix is None else {field: written(folder / "mix", {"mix": mix})["mix"]}
    return Song(folder.name, raw=written(folder / "raw", tracks), **mixes, **about)


def examples(song: Song, *settings: str):
    """Take a song through the recipe; return its examples and the song's work."""
    recipe = load_recipe("automix", [*AS_THEY_ARE, *settings])
    work = run_song(PlannedSong(song, "train", 0, (), Place("", ()), recipe.song_tracks(song)), recipe, None)
    return work.examples, work


def whole(examples, role: str) -> dict[str, np.ndarray]:
    """Join the blocks."""
    return {stem: np.concatenate([example.roles[role][stem] for example in examples], axis=1) for stem in examples[0].roles[role]}


def padded(mix: np.ndarray, frames: int) -> np.ndarray:
    return mix[:, -frames:] if frames < 0 else np.pad(mix, ((0, 0), (frames, 0)))


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


# levels


@pytest.mark.parametrize("loudness", ["null", "-18"])
def test_the_levels_of_the_tracks_stay_in_their_relation_even_100_db_down(tmp_path, loudness):
    tracks = {**parts(), "z_bleed": np.float32(1e-5) * parts()["drums"]}  # 100 dB under the drums
    made, work = examples(raw_song(tmp_path / "a", tracks), "tracks.mixture=sum", f"tracks.loudness={loudness}")
    got = whole(made, "input")
    gains = [rms(got[f"t{number:03d}"]) / rms(tracks[name]) for number, name in enumerate(sorted(tracks))]
    assert np.ptp(gains) < 2e-7 * gains[0]
    assert gains[0] == pytest.approx(10 ** (work.measures["gain_mixture_db"] / 20), rel=1e-6)
    assert (gains[0] == 1) == (loudness == "null")
    target = whole(made, "target")["mixture"]
    if loudness == "-18":
        assert mixdata.measures.integrated_loudness(target, RATE) == pytest.approx(-18, abs=0.01)
    assert made[0].active["input"]["t004"] is True  # it is there; it does not sound beside the others
    assert made[0].activity["t004"] == 0.0


def test_without_a_gain_the_tracks_are_what_the_files_hold_bit_for_bit(tmp_path):
    tracks = parts(1)
    made, _ = examples(raw_song(tmp_path / "a", tracks, sum(tracks.values())))
    got = whole(made, "input")
    assert [np.array_equal(got[f"t{number:03d}"], tracks[name]) for number, name in enumerate(sorted(tracks))] == [True] * len(tracks)


def test_24_bits_keep_the_bleed(tmp_path):
    tracks = {**parts(), "bleed": np.float32(1e-5) * parts()["drums"]}
    corpus = of([raw_song(tmp_path / "a", tracks)])
    made = mixdata.build(
        load_recipe("automix", [f"sample_rate={RATE}", "tracks.mixture=sum"]), tmp_path / "set", [corpus], workers=0, quiet=True
    )
    record = made[0].record["tracks"]
    number = next(name for name, about in record.items() if about["name"] == "bleed")
    drums = next(name for name, about in record.items() if about["name"] == "drums")
    ratio = rms(made[0].roles["input"][number]) / rms(made[0].roles["input"][drums])
    assert ratio == pytest.approx(1e-5, rel=0.1)  # of about one step of 24 bits


# targets


def test_the_sum_of_the_tracks_is_the_target_where_it_is_asked_for(tmp_path):
    tracks = parts(2)
    made, work = examples(raw_song(tmp_path / "a", tracks, noise(1, SECONDS, sample_rate=RATE)), "tracks.mixture=sum")
    total = np.sum([tracks[name].astype(np.float64) for name in sorted(tracks)], axis=0)
    assert np.array_equal(whole(made, "target")["mixture"], total.astype(np.float32))
    assert work.measures["target_is_sum"] is True and made[0].record["steps"][0]["target"]["made_of"] == "sum"


def mastered(mix: np.ndarray) -> np.ndarray:
    mix = fx.Limiter(gain_db=9, ceiling_db=-1)(fx.Compressor(threshold_db=-25, makeup_db=4)(mix, RATE), RATE)
    return fx.LossyCodec(bitrate_kbps=64)(mix, RATE)


@pytest.mark.parametrize("offset", [9_001, -20_011, 0])
def test_a_published_mix_is_laid_over_the_tracks_and_what_has_no_mix_is_left_out(tmp_path, offset):
    tracks = parts(3)
    mix = mastered(sum(tracks.values()))
    made, work = examples(raw_song(tmp_path / "a", tracks, padded(mix, offset)))
    begin = max(0, -offset)
    got = whole(made, "input")
    for number, name in enumerate(sorted(tracks)):  # the tracks are not moved: they begin where the mix does
        assert np.array_equal(got[f"t{number:03d}"], tracks[name][:, begin:])
    assert np.array_equal(whole(made, "target")["mixture"], mix[:, begin:])
    said = made[0].record["steps"][0]
    assert said["start"] == begin and said["target"]["lag_frames"] == offset
    assert said["target"]["made_of"] == "published" and said["target"]["lag_seconds"] == pytest.approx(offset / RATE)
    assert work.measures["mix_confidence"] > 0.9 and work.measures["mix_lag_seconds"] == pytest.approx(offset / RATE)
    assert work.measures["target_is_sum"] is False and -20 < work.measures["residual_db"] < 0


def test_a_mix_that_goes_on_after_the_tracks_or_ends_before_them_is_cut_to_both(tmp_path):
    tracks = parts(3)
    mix = sum(tracks.values())
    longer = np.concatenate([mix, 0.1 * noise(2, 2, sample_rate=RATE)], axis=1)
    made, _ = examples(raw_song(tmp_path / "a", tracks, longer))
    assert sum(example.frames for example in made) == mix.shape[1]
    made, _ = examples(raw_song(tmp_path / "b", tracks, mix[:, : 9 * RATE]))
    assert sum(example.frames for example in made) == 9 * RATE


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda mix, other: other, "is it this song's"),
        (lambda mix, other: audio.resample(mix, 44_100, 48_000), "runs .* ppm against its tracks"),
        (lambda mix, other: np.delete(mix, slice(7 * RATE, 7 * RATE + 7000), axis=1), "edited"),
        (lambda mix, other: mix[:, : 3 * RATE], "too little"),
        (lambda mix, other: np.zeros_like(mix) + np.float32(0), "silent"),
    ],
)
def test_a_mix_that_does_not_lie_over_its_tracks_is_refused_and_never_replaced_in_silence(tmp_path, spoil, word):
    tracks = parts(0, 16)
    song = raw_song(tmp_path / "a", tracks, spoil(sum(tracks.values()), sum(parts(1, 16).values())))
    if word == "silent":  # before anything is aligned
        with pytest.raises(SongError, match="digital silence") as caught:
            examples(song)
        assert caught.value.reason == "silent"
        return
    with pytest.raises(SongError, match=word) as caught:
        examples(song)
    assert caught.value.reason == "unaligned" and "tracks.mixture" in caught.value.message
    made, work = examples(song, "tracks.mixture=published_or_sum")
    said = made[0].record["steps"][0]["target"]
    assert said["made_of"] == "sum" and said["refused"] in ("unsure", "drift", "edit", "too_short")
    assert work.measures["target_is_sum"] is True and "mix_lag_seconds" not in work.measures


def test_more_confidence_can_be_asked_for_and_less_cannot(tmp_path):
    tracks = parts(3)
    mix = sum(tracks.values())
    mix = mix[:, : round(0.7 * mix.shape[1])]
    lonely = np.concatenate([np.roll(mix, 0, axis=1), 0.3 * noise(4, 5, sample_rate=RATE)], axis=1)
    song = raw_song(tmp_path / "a", tracks, lonely)
    _, work = examples(song)
    assert 0.5 < work.measures["mix_confidence"] < 0.95
    with pytest.raises(SongError) as caught:
        examples(song, "tracks.min_confidence=0.95")
    assert caught.value.reason == "unaligned"
    with pytest.raises(RecipeError, match=r"greater than or equal to 0\.5"):
        load_recipe("automix", ["tracks.min_confidence=0.4"])


def test_a_song_without_a_mix_is_left_out_unless_the_sum_is_asked_for(tmp_path):
    song = raw_song(tmp_path / "a", parts())
    with pytest.raises(SongError, match=r"set tracks\.mixture to sum") as caught:
        examples(song)
    assert caught.value.reason == "no_mix"
    made, _ = examples(song, "tracks.mixture=published_or_sum")
    assert made[0].record["steps"][0]["target"] | {"gain_db": 0} == {
        "made_of": "sum", "gain_db": 0, "sum_gain_db": pytest.approx(0, abs=1e-9), "residual_db": None, "inverted": False
    }  # fmt: skip


@pytest.mark.parametrize(("offset", "warning"), [(0, []), (800, ["mix_offset"]), (-5, [])])
def test_a_corpus_mix_is_not_moved_but_told_of_where_it_lies_elsewhere(tmp_path, offset, warning):
    tracks = parts(1)
    mix = padded(sum(tracks.values()), offset)
    made, work = examples(raw_song(tmp_path / "a", tracks, mix, "mixture"))
    frames = min(mix.shape[1], round(SECONDS * RATE))
    assert np.array_equal(whole(made, "target")["mixture"], mix[:, :frames])
    assert np.array_equal(whole(made, "input")["t000"], tracks[min(tracks)][:, :frames])
    assert made[0].record["steps"][0]["target"] | {"lag_frames": offset, "made_of": "mixture"} == made[0].record["steps"][0]["target"]
    assert work.warnings == warning


def test_a_corpus_mix_of_another_song_is_warned_of(tmp_path):
    _, work = examples(raw_song(tmp_path / "a", parts(1), sum(parts(2).values()), "mixture"))
    assert work.warnings == ["mix_unverified"] and work.measures["residual_db"] > -1


def test_gain_and_residual_are_those_of_the_nearest_sum(tmp_path):
    tracks = parts(1)
    total = sum(tracks.values())
    mix = (0.25 * total + 0.1 * np.std(total) * noise(5, SECONDS, sample_rate=RATE) / np.std(noise(5))).astype(np.float32)
    _, work = examples(raw_song(tmp_path / "a", tracks, mix, "mixture"))
    gain, *_ = np.linalg.lstsq(total.reshape(-1, 1).astype(np.float64), mix.reshape(-1).astype(np.float64))
    left = np.square(mix - gain[0] * total, dtype=np.float64).sum() / np.square(mix, dtype=np.float64).sum()
    said = next(note for note in work.history if note["step"] == "tracks")["target"]
    assert said["sum_gain_db"] == pytest.approx(20 * np.log10(gain[0]), abs=1e-6)
    assert work.measures["residual_db"] == pytest.approx(10 * np.log10(left), abs=1e-4) == pytest.approx(-8.6, abs=0.3)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("field", ["published", "mixture"])
def test_a_mix_of_reversed_polarity_is_told_of_and_left_as_it_is(field, sign, tmp_path):
    tracks = parts(3)
    mix = np.float32(sign * 0.5) * sum(tracks.values())
    made, work = examples(raw_song(tmp_path / "a", tracks, mix, field))
    assert work.warnings == (["mix_inverted"] if sign < 0 else [])
    assert made[0].record["steps"][0]["target"]["inverted"] is (sign < 0)
    np.testing.assert_array_equal(whole(made, "target")["mixture"], mix)


def test_a_mix_of_something_else_has_no_polarity(tmp_path):
    tracks = parts(2)
    for seed in (7, 8):  # one of them lies a little nearer to the sum turned over
        _, work = examples(raw_song(tmp_path / f"{seed}", tracks, noise(seed, SECONDS, sample_rate=RATE), "mixture"))
        assert "mix_inverted" not in work.warnings


# tracks


def test_the_record_says_what_each_track_is(tmp_path):
    tracks = {"02_bass": parts()["bass"][:1], "01_kick": parts()["drums"], "03_ufo": parts()["other"]}
    song = raw_song(tmp_path / "a", tracks)
    facts = {"component": "melody", "mixing_coefficient": 0.97, "stem": "S01"}
    raw = {
        name: replace(track, instrument={"01_kick": "kick drum", "02_bass": "electric bass", "03_ufo": None}[name])
        for name, track in song.raw.items()
    }
    raw["02_bass"] = replace(raw["02_bass"], facts=facts)
    made, work = examples(replace(song, raw=raw), "tracks.mixture=sum")
    for example in made:
        assert list(example.record["tracks"]) == list(example.roles["input"]) == ["t000", "t001", "t002"]
        assert example.record["tracks"]["t001"] == {
            "name": "02_bass", "instrument": "electric bass", "group": "bass", "stem": "bass",
            "channels": 1, "sample_rate": RATE, "facts": facts,
        }  # fmt: skip
        assert [about["group"] for about in example.record["tracks"].values()] == ["drums", "bass", None]
    assert np.array_equal(*whole(made, "input")["t001"])  # mono is on both channels
    assert work.warnings == ["unknown_stem"]
    json.dumps(made[0].record, allow_nan=False)


def test_short_tracks_end_in_silence_and_silent_ones_are_not_active(tmp_path):
    tracks = parts()
    tracks["bass"] = tracks["bass"][:, : 5 * RATE]
    tracks["nothing"] = np.zeros((1, 2 * RATE), np.float32)
    made, _ = examples(raw_song(tmp_path / "a", tracks), "tracks.mixture=sum")
    assert [example.roles["input"]["t000"].any() for example in made] == [True, True, False]
    assert [example.active["input"]["t000"] for example in made] == [True] * 3
    assert made[2].activity["t000"] == 0 and made[0].activity["t000"] > 0.5
    assert [name for name, there in made[0].active["input"].items() if not there] == ["t002"]
    assert made[0].record["tracks"]["t002"]["name"] == "nothing"
    made, _ = examples(raw_song(tmp_path / "a", tracks), "tracks.mixture=sum", "tracks.drop_silent=true")
    assert [about["name"] for about in made[0].record["tracks"].values()] == sorted(tracks.keys() - {"nothing"})
    assert made[0].record["steps"][0]["dropped"] == ["nothing"]


def test_a_track_sounds_by_the_level_of_the_tracks_sum_not_of_the_mix(tmp_path):
    tracks = {name: np.float32(0.003) * samples for name, samples in parts().items()}  # recorded 50 dB down
    made, _ = examples(raw_song(tmp_path / "a", tracks, sum(parts().values()), "mixture"), "tracks.floor_lufs=-120")
    assert all(any(example.activity[f"t{number:03d}"] > 0.5 for example in made) for number in range(len(tracks)))


def test_a_track_that_is_no_audio_or_has_more_than_two_channels_is_refused(tmp_path):
    for name, samples, reason in (("loud", np.float32(1e6) * parts()["bass"], "level"), ("wide", noise(1, 3, 3, RATE), "channels")):
        song = raw_song(tmp_path / name, parts() | {"x": samples}, sum(parts().values()))
        with pytest.raises(SongError) as caught:
            examples(song)
        assert caught.value.reason == reason and "x.wav" in caught.value.message


def test_what_is_taken(tmp_path):
    tracks = parts()
    raw = written(tmp_path / "raw", {f"{name}_{n}": np.float32(0.5) * samples for name, samples in tracks.items() for n in (1, 2)})
    song = Song("a", mixture=written(tmp_path / "mix", {"mix": sum(tracks.values())})["mix"], stems=written(tmp_path, tracks), raw=raw)
    one_raw = replace(song, raw={"mix": song.mixture})

    def names(song: Song, *settings: str) -> list[str]:
        return [about["name"] for about in examples(song, *settings)[0][0].record["tracks"].values()]

    assert names(song) == names(song, "tracks.take=raw") == sorted(raw)
    assert names(song, "tracks.take=stems") == names(one_raw) == sorted(tracks)
    assert names(replace(song, stems={}, raw={"solo": song.mixture})) == ["solo"]
    for wrong, setting in ((replace(song, raw={}), "raw"), (replace(song, stems={}), "stems"), (Song("b", mixture=song.mixture), "auto")):
        with pytest.raises(SongError) as caught:
            examples(wrong, f"tracks.take={setting}")
        assert caught.value.reason == "no_tracks"


def test_groups_are_sums_by_the_taxonomy(tmp_path):
    tracks = {name: samples[:1] for name, samples in parts().items()}
    shares = {f"{name}_{n}": np.float32(share) * samples for name, samples in tracks.items() for n, share in ((1, 0.75), (2, 0.25))}
    song = raw_song(tmp_path / "a", shares)
    labels = {"vocals": "male singer", "drums": "snare drum", "bass": "electric bass", "other": "piano"}
    raw = {name: replace(track, instrument=labels[name[:-2]], facts={"weight": n}) for n, (name, track) in enumerate(song.raw.items())}
    made, work = examples(replace(song, raw=raw), "tracks.mixture=sum", "tracks.groups=4", "tracks.max_tracks=4")
    got, about = whole(made, "input"), made[0].record["tracks"]
    assert [track["name"] for track in about.values()] == ["bass", "drums", "other", "vocals"]
    for name, track in about.items():
        assert np.allclose(got[name], tracks[track["name"]], atol=1e-7) and track["channels"] == 1
        assert len(track["made_of"]) == 2 and track["group"] == track["name"]
    made, _ = examples(replace(song, raw=raw), "tracks.mixture=sum", "tracks.groups=11")
    assert [track["name"] for track in made[0].record["tracks"].values()] == ["bass", "drums", "piano", "vocals"]
    assert not work.warnings


def test_the_order_is_by_name_or_shuffled_per_song(tmp_path):
    songs = [
        raw_song(tmp_path / str(n), {f"{c}": 0.1 * noise(10 * n + k, 2, sample_rate=RATE) for k, c in enumerate("hgfedcba")})
        for n in range(3)
    ]

    def order(song: Song, *settings: str) -> str:
        made, _ = examples(song, "tracks.mixture=sum", *settings)
        for name, about in made[0].record["tracks"].items():  # the record and the audio say the same
            assert np.array_equal(whole(made, "input")[name], song.raw[about["name"]].read()[0])
        return "".join(about["name"] for about in made[0].record["tracks"].values())

    assert [order(song) for song in songs] == ["abcdefgh"] * 3
    shuffled = [order(song, "tracks.order=shuffled") for song in songs]
    assert len({*shuffled, "abcdefgh"}) == 4 and shuffled == [order(song, "tracks.order=shuffled") for song in songs]


# builds


@pytest.fixture
def band(tmp_path) -> Corpus:
    """Songs of two to five tracks, one with too many, one whose mix is another's."""
    songs = []
    for number, count in enumerate((2, 5, 3, 9)):
        tracks = {f"{number}{k}": 0.1 * noise(100 * number + k, 8, 1 + k % 2, sample_rate=RATE) for k in range(count)}
        songs.append(
            raw_song(
                tmp_path / f"song-{number}", tracks, padded(sum(np.repeat(t, 2, 0) if len(t) == 1 else t for t in tracks.values()), 777)
            )
        )
    foreign = {f"x{k}": 0.1 * noise(900 + k, 8, sample_rate=RATE) for k in range(3)}
    songs.append(raw_song(tmp_path / "foreign", foreign, 0.1 * noise(950, 8, sample_rate=RATE)))
    return of(songs)


def test_songs_of_different_numbers_of_tracks_make_one_set_and_the_rest_says_why_not(tmp_path, band):
    recipe = load_recipe("automix", [f"sample_rate={RATE}", "tracks.max_tracks=8"])
    made = mixdata.build(recipe, tmp_path / "set", [band], workers=0, quiet=True)
    rows = made.songs.set_index("title")
    assert rows["status"].to_dict() == {"song-0": "used", "song-1": "used", "song-2": "used", "song-3": "rejected", "foreign": "rejected"}
    assert rows["reason"].dropna().to_dict() == {"song-3": "too_many_tracks", "foreign": "unaligned"}
    assert rows["input_tracks"].dropna().to_dict() == {"song-0": 2, "song-1": 5, "song-2": 3}
    assert sorted(set(made.examples["tracks"])) == [2, 3, 5]
    assert mixdata.verify(made.path) == []
    again = mixdata.build(recipe, tmp_path / "again", [band], workers=2, quiet=True)
    mine, theirs = files_of(made.path), files_of(again.path)
    assert {name for name in mine if mine[name] != theirs[name]} <= {"dataset.json"} and mine.keys() == theirs.keys()


def test_a_shard_is_planned_by_the_tracks_that_its_songs_have(band):
    recipe = load_recipe("automix", [f"sample_rate={RATE}", "splits={train: 1}"])
    plan = make_plan(recipe, [band], quiet=True)
    assert {planned.song.title: planned.tracks for planned in plan.songs} == {
        "song-0": 2,
        "song-1": 5,
        "song-2": 3,
        "song-3": 9,
        "foreign": 3,
    }
    frames = sum(planned.frames * (planned.tracks + 1) for planned in plan.songs)
    assert plan.dataset_bytes() == pytest.approx(frames * 2 * 3 * 0.65, abs=5)
    small = load_recipe("automix", [f"sample_rate={RATE}", "splits={train: 1}", "output.shard=2500000"])  # song-3 alone is more
    assert len(make_plan(small, [band], quiet=True).shards) > 2
    assert estimate(plan_build(recipe, [band], quiet=True), 1).seconds > 0


def test_songs_of_the_mixing_secrets_layout(tmp_path):
    tracks = parts(2)
    folder = tmp_path / "SomeBand_ASong_Full"
    written(
        folder,
        {
            f"{n:02d}_{name}": samples[:1]
            for n, (name, samples) in enumerate(zip(("Kick", "BassDI", "ElecGtr", "LeadVox"), tracks.values(), strict=True), 1)
        },
    )
    mix = padded(mastered(np.repeat(sum(samples[:1] for samples in tracks.values()), 2, 0)), 4321)
    audio.write(tmp_path / "ASong_Full_Preview.wav", mix / max(1, np.abs(mix).max()), RATE)
    recipe = load_recipe("automix", [f"sample_rate={RATE}"])
    made = mixdata.build(recipe, tmp_path / "set", [f"cambridge_mt:{tmp_path}"], workers=0, quiet=True)
    record = made[0].record
    assert [about["instrument"] for about in record["tracks"].values()] == ["Kick", "Bass DI", "Elec Gtr", "Lead Vox"]
    assert [about["group"] for about in record["tracks"].values()] == ["drums", "bass", "guitar", "vocals"]
    assert {about["channels"] for about in record["tracks"].values()} == {1}
    assert record["steps"][0]["target"]["lag_frames"] == 4321 and record["steps"][0]["target"]["made_of"] == "published"


def test_a_real_song_of_26_tracks(tmp_path):
    folder = shared("multitrack_cc0", "Software-Entwicklungskit - Francium")
    raw = {path.stem.lower(): Track(path) for path in sorted((folder / "stems").glob("*.flac"))}
    song = Song("Francium", raw=raw, mixture=Track(folder / "mixture.flac"))
    made, work = examples(song, "sample_rate=24000", "tracks.drop_silent=true")
    heard = {name for name, track in raw.items() if track.read()[0].any()}
    assert {about["name"] for about in made[0].record["tracks"].values()} == heard and 2 < len(heard) < 26
    said = made[0].record["steps"][0]["target"]
    assert said["checked"] == "aligned" and said["lag_frames"] == 0 and said["confidence"] > 0.9
    assert (work.measures["residual_db"] or -120) < -60 and said["sum_gain_db"] == pytest.approx(0, abs=0.1)


def test_the_demo_builds_with_no_arguments():
    plan = make_plan(load_recipe("automix"), [load_corpus("demo")], quiet=True)
    assert len(plan.songs) == 7 and {planned.tracks for planned in plan.songs} == {4}
    assert plan.roles == {"input": [], "target": ["mixture"]} and plan.recipe.variable() == ["input"]


# memory and disk


def test_tracks_wait_on_disk_in_a_file_without_a_name(tmp_path):
    samples = noise(3, 0.1)
    kept = scratch.on_disk(samples, tmp_path / "new")
    assert np.array_equal(kept, samples) and type(kept) is np.ndarray and isinstance(kept.base, np.memmap)
    assert not kept.flags.owndata and list((tmp_path / "new").iterdir()) == []
    kept[0, 0] = 7  # a copy of one's own
    assert np.array_equal(scratch.on_disk(samples, None), samples)


def test_a_full_disk_stops_the_build_with_a_way_out(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.tempfile, "TemporaryFile", full)
    with pytest.raises(MixdataError, match=r"No space left on device.*--cache-dir") as caught:
        mixdata.build(load_recipe("automix", [f"sample_rate={RATE}"]), tmp_path / "set", ["synth:songs=1,seconds=3"], workers=0, quiet=True)
    assert not isinstance(caught.value, SongError) and not (tmp_path / "set" / "dataset.json").exists()


def test_a_song_of_raw_tracks_alone_can_be_loaded(tmp_path):
    tracks = parts(1, 3)
    tracks["bass"] = tracks["bass"][:, :RATE]
    song = raw_song(tmp_path / "a", tracks)
    work = load_work(song, "train", RATE, 0)
    total = sum(np.pad(samples, ((0, 0), (0, 3 * RATE - samples.shape[1]))).astype(np.float64) for samples in tracks.values())
    assert np.allclose(work.mixture, total, atol=1e-6) and work.warnings == []
    mix = 0.1 * noise(1, 3, sample_rate=RATE)
    assert np.array_equal(load_work(raw_song(tmp_path / "b", tracks, mix), "train", RATE, 0).mixture, mix)
    stems = replace(raw_song(tmp_path / "c", {}, mix), stems=song.raw)  # a published mix may start elsewhere than the stems
    assert np.allclose(load_work(stems, "train", RATE, 0).mixture, total, atol=1e-6)
    assert load_work(stems, "train", RATE, 0).warnings == ["unequal_lengths"]
    with pytest.raises(SongError) as caught:
        load_work(Song("nothing"), "train", RATE, 0)
    assert caught.value.reason == "empty"


def test_microphones_of_the_room_are_no_tracks_beside_those_of_the_players(tmp_path):
    song = raw_song(tmp_path, {name: noise(number, SECONDS) for number, name in enumerate(("alto", "bass", "room"))})
    raw = {name: replace(track, facts={"of": "the whole"}) if name == "room" else track for name, track in song.raw.items()}
    settings = ("tracks.mixture=sum", "tracks.loudness=null")
    told = [each["name"] for each in examples(replace(song, raw=raw), *settings)[0][0].record["tracks"].values()]
    assert told == ["alto", "bass"]
    asked = examples(replace(song, raw=raw), *settings, "tracks.take=raw")[0][0].record["tracks"].values()
    assert [each["name"] for each in asked] == ["alto", "bass", "room"]
