"""Licences: what a text means, what several allow together, which songs a recipe may use, and what a dataset says of it."""

import csv
import itertools
import json
import shutil
from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import mixdata
from conftest import SONGS, small_recipe
from mixdata.cli import app
from mixdata.errors import MixdataError, UsageError
from mixdata.licence_sets import combine, combined, explained, of_set
from mixdata.licences import allows, hugging_face, joined, licence, licences, licences_in, refusal
from mixdata.resources import folder, resource
from trees import write_wav

USES = ("any", "research", "commercial")
RANK = {"no": 0, "unknown": 1, "yes": 2}


# The table


@pytest.mark.parametrize("id", sorted(licences()))
def test_every_licence_of_the_table_is_whole(id):
    entry = licences()[id]
    assert entry.id == id and entry.name and entry.known
    assert all(getattr(entry, field) in RANK for field in ("commercial", "research", "derivatives", "redistribute"))
    assert {type(entry.spdx), type(entry.attribution), type(entry.share_alike)} == {bool}
    assert entry.url or entry.text or "version not stated" in entry.name
    assert licence(id) == licence(entry.name) == entry


def test_ids_are_said_to_be_of_spdx_exactly_where_they_are():
    known = {entry["id"] for entry in pytest.importorskip("packaging.licenses._spdx").LICENSES.values()}
    assert {id for id, entry in licences().items() if entry.spdx} == known & set(licences())


def test_named_licences_carry_a_text():
    assert all(entry.text for entry in licences().values() if not entry.spdx and not entry.id.startswith("CC-BY"))


@pytest.mark.parametrize("path", sorted(folder("manifests").glob("corpora/*.yaml")), ids=lambda path: path.stem)
def test_corpora_name_licences_of_the_table(path):
    said = yaml.safe_load(path.read_text(encoding="utf-8"))["licence"]
    assert said == "per song" or said in licences()


def test_no_song_of_musdb18_is_free_for_commercial_use():  # standards.md 2.5: 102 restricted, 46 CC BY-NC-SA, 2 CC BY-NC-SA 3.0
    with resource("manifests", "musdb18_tracklist.csv").open(encoding="utf-8") as file:
        rows = [{key.lower(): value for key, value in row.items()} for row in csv.DictReader(file)]
    found = [licence(row.get("licence") or row.get("license")) for row in rows]
    assert sorted(entry.id for entry in found) == ["CC-BY-NC-SA"] * 46 + ["CC-BY-NC-SA-3.0"] * 2 + ["restricted"] * 102
    assert not any(allows(entry, "commercial") for entry in found) and all(allows(entry, "research") for entry in found)


# What a text means


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution 4.0", "CC-BY-4.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International License", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution Non-Commercial Share-Alike 4.0 (CC BY-NC-SA 4.0).", "CC-BY-NC-SA-4.0"),
        ("Creative Commons BY-NC-ND 4.0.", "CC-BY-NC-ND-4.0"),
        ("CC Attribution-NoDerivs 2.0", "CC-BY-ND-2.0"),
        ("http://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/3.0/deed.en", "CC-BY-NC-ND-3.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/us/", "CC-BY-NC-SA-3.0-US"),
        ("CC-BY-NC-SA-3.0-US", "CC-BY-NC-SA-3.0-US"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("cc0", "CC0-1.0"),
        ("Public Domain", "public-domain"),
        ("CC BY-NC-SA", "CC-BY-NC-SA"),
        ("Restricted", "restricted"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_names_that_people_and_tags_write_are_understood(text, id):
    assert (licence(text).id, licence(text).known) == (id, True)


@pytest.mark.parametrize(
    "text",
    [
        "CC BY 7.0",
        "CC BY-SA-ND 4.0",
        "CC BY-SA 1.0",
        "CC BY 4.0 (CC BY-NC 4.0)",
        "CC BY (Greg Hopkins)",
        "free",
        "CC",
        "Attribution",
        "by",
        "A | B",
    ],
)
def test_what_is_not_clear_stays_as_written_and_counts_as_unknown(text):
    found = licence(text)
    assert (found.id, found.known) == (text, False)
    assert not allows(found, "commercial") and allows(found, "research") and allows(found, "any")


def test_a_licence_of_a_country_keeps_the_terms_of_its_base_and_no_elements_come_from_the_country():
    saudi = licence("https://creativecommons.org/licenses/by/3.0/sa/")
    assert saudi.id == "CC-BY-3.0-SA" and not saudi.share_alike and not saudi.spdx
    assert combine([saudi, licence("CC-BY-NC-3.0")]).id == "CC-BY-NC-3.0"
    assert allows(licence("CC-BY-3.0-DE"), "commercial") and not allows(licence("CC-BY-NC-3.0-DE"), "commercial")


@given(st.text())
def test_any_text_is_a_licence_and_its_id_means_the_same(text):
    found = licence(text)
    assert licence(found.id) == found


# One licence


@pytest.mark.parametrize(
    ("id", "research", "commercial"),
    [
        ("CC0-1.0", True, True),
        ("CC-BY-4.0", True, True),
        ("CC-BY-SA-4.0", True, True),
        ("CC-BY-ND-4.0", True, False),
        ("CC-BY-NC-4.0", True, False),
        ("CC-BY-NC-SA", True, False),
        ("restricted", True, False),
        ("mixing-secrets", True, False),
        ("enst-drums", True, False),
        ("moisesdb-nc-rcl", True, False),
        ("demucs-weights", True, False),
        ("all-rights-reserved", True, False),
        ("unknown", True, False),
        ("MIT", True, True),
    ],
)
def test_what_one_licence_allows(id, research, commercial):
    assert [allows(licences()[id], use) for use in USES] == [True, research, commercial]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("CC-BY-NC-4.0", "its licence, CC-BY-NC-4.0, forbids commercial use"),
        ("CC-BY-ND-4.0", "its licence, CC-BY-ND-4.0, does not allow what is made from it to be passed on"),
        ("enst-drums", "its licence, enst-drums, is not known to allow commercial use"),
        ("unknown", "its licence is unknown, which counts as not allowed for commercial use"),
        ("ask me", "its licence, 'ask me', is not known to mixdata, which counts as not allowed for commercial use"),
    ],
)
def test_a_refusal_names_the_licence_and_what_it_forbids(text, says):
    assert refusal(licence(text), "commercial") == says


# Several together

# Creative Commons' FAQ, chart of adapter's licences: what adaptations of material (left) may be under; the mildest first.
MILDEST = ["CC0", "CC-BY", "CC-BY-SA", "CC-BY-NC", "CC-BY-NC-SA", "CC-BY-ND", "CC-BY-NC-ND"]
CHART = {
    "CC0": set(MILDEST),
    "CC-BY": set(MILDEST) - {"CC0"},
    "CC-BY-NC": {"CC-BY-NC", "CC-BY-NC-SA", "CC-BY-NC-ND"},
    "CC-BY-SA": {"CC-BY-SA"},
    "CC-BY-NC-SA": {"CC-BY-NC-SA"},
    "CC-BY-ND": set(),
    "CC-BY-NC-ND": set(),
}


@pytest.mark.parametrize("names", [names for count in range(1, 8) for names in itertools.combinations(CHART, count)], ids="+".join)
def test_the_whole_is_under_the_mildest_licence_that_the_chart_leaves(names):
    result = combined("CC0-1.0" if name == "CC0" else f"{name}-4.0" for name in names)
    left = set.intersection(*(CHART[name] for name in names))
    assert result.redistribute == ("yes" if left else "no") and bool(result.conflicts) == (not left)
    if left:
        mildest = min(left, key=MILDEST.index)
        assert result.id == ("CC0-1.0" if mildest == "CC0" else f"{mildest}-4.0")
        assert result.share_alike == (result.id if any("SA" in name for name in names) else None)
    else:
        assert result.id == (f"{names[0]}-4.0" if len(names) == 1 else "other" if len(set(names) - {"CC0"}) > 1 else f"{names[1]}-4.0")
    assert result.credit == tuple(sorted(f"{name}-4.0" for name in names if name != "CC0"))


@pytest.mark.parametrize(
    ("texts", "id", "redistribute"),
    [
        (["CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"], "CC-BY-NC-SA-4.0", "yes"),  # ShareAlike: a later version of the same licence will do
        (["CC-BY-NC-SA-4.0", "CC-BY-NC-SA"], "CC-BY-NC-SA", "yes"),  # which version, nobody says
        (["CC-BY-3.0", "CC-BY-NC-2.0"], "CC-BY-NC-3.0", "yes"),
        (["CC-BY-4.0", "MIT"], "CC-BY-4.0", "yes"),
        (["MIT", "ISC"], "other", "yes"),
        (["MIT", "MIT License", "CC0"], "MIT", "yes"),
        (["CC0-1.0", "public domain"], "CC0-1.0", "yes"),
        (["public domain"], "public-domain", "yes"),
        (["GPL-3.0", "CC-BY-SA-4.0"], "other", "no"),
        (["restricted", "CC-BY-NC-SA"], "other", "unknown"),
        (["moisesdb-nc-rcl", "CC0-1.0"], "moisesdb-nc-rcl", "no"),
        (["demucs-weights", "CC0-1.0"], "demucs-weights", "unknown"),
        (["CC-BY-4.0 AND demucs-weights"], "other", "unknown"),
        (["CC-BY-4.0", "unknown"], "unknown", "unknown"),
        (["CC-BY-ND-4.0", "ask me"], "unknown", "no"),
    ],
)
def test_known_mixtures(texts, id, redistribute):
    result = combined(texts)
    assert (result.id, result.redistribute) == (id, redistribute)


def made_up(commercial, research, derivatives, redistribute, attribution, share_alike):
    """A licence that the table does not have."""
    answers = {"commercial": commercial, "research": research, "derivatives": derivatives, "redistribute": redistribute}
    id = "-".join([*answers.values(), str(attribution), str(share_alike)])
    return replace(licences()["restricted"], id=id, **answers, attribution=attribution, share_alike=share_alike)


REAL = st.sampled_from([*licences(), "ask me", "free for fans", "CC-BY-3.0-DE"]).map(licence)
SOME = st.lists(REAL | st.builds(made_up, *[st.sampled_from(list(RANK))] * 4, st.booleans(), st.booleans()), min_size=1, max_size=5)
ONE = SOME.map(lambda terms: terms[0])
LAWS = settings(max_examples=300, deadline=None)


@LAWS
@given(SOME, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(terms, random):
    other = [*terms, random.choice(terms)]
    random.shuffle(other)
    assert combine(other) == combine(terms)


@LAWS
@given(SOME, ONE)
def test_one_more_licence_never_allows_more(terms, more):
    before, after = combine(terms), combine([*terms, more])
    for use in USES:
        assert allows(before, use) or not allows(after, use)
    for field in ("commercial", "research", "derivatives", "redistribute"):
        assert RANK[getattr(after, field)] <= RANK[getattr(before, field)]
    assert set(before.credit) <= set(after.credit)


@LAWS
@given(SOME)
def test_the_whole_may_be_used_exactly_where_every_part_may(terms):
    for use in USES:
        assert allows(combine(terms), use) == all(allows(part, use) for part in terms)


@LAWS
@given(SOME, st.sampled_from(["unknown", "ask me"]).map(licence))
def test_an_unknown_licence_makes_the_whole_unknown(terms, unknown):
    result = combine([*terms, unknown])
    assert result.id == "unknown" and not allows(result, "commercial") and result.redistribute != "yes"


@LAWS
@given(SOME)
def test_a_set_may_be_passed_on_only_where_every_part_and_what_is_made_from_it_may(terms):
    result = combine(terms)
    everywhere = all(part.derivatives == part.redistribute == "yes" for part in terms)
    assert (result.redistribute == "yes") == (everywhere and not result.conflicts)


@LAWS
@given(SOME)
def test_commercial_use_is_allowed_only_by_two_plain_answers(terms):
    for part in terms:
        assert allows(part, "commercial") == ((part.commercial, part.derivatives) == ("yes", "yes"))
        assert allows(part, "research") == (part.research != "no") and allows(part, "any")


@LAWS
@given(st.lists(REAL, min_size=1, max_size=5))
def test_the_sentences_say_what_the_answers_say(terms):
    result = combine(terms)
    said = explained(result.as_dict())
    assert ("It may be used commercially." in said) == allows(result, "commercial")
    assert ("It may be used for research." in said) == (result.research == "yes")
    assert any(line.startswith("It may be passed on under ") for line in said) == (result.redistribute == "yes")


def test_nothing_has_no_licence():
    with pytest.raises(ValueError, match="no licences"):
        combine([])


def test_a_set_counts_its_songs_by_licence_and_adds_what_the_steps_bring():
    facts = of_set(["cc0", "CC0-1.0", "CC BY 4.0"], {"separate: x": "demucs-weights"}, "research")
    assert facts["songs"] == {"CC-BY-4.0": 1, "CC0-1.0": 2} and facts["use"] == "research"
    assert facts["result"]["parts"] == ["CC-BY-4.0", "CC0-1.0", "demucs-weights"] and facts["result"]["commercial"] == "no"


# Building


def test_licence_does_not_enter_the_identity_of_what_is_built():
    assert small_recipe("licence=commercial").identity() == small_recipe().identity()
    assert small_recipe("licence=commercial").resolved()["licence"] == "commercial"


def test_an_unknown_use_is_refused():
    with pytest.raises(MixdataError, match="licence"):
        small_recipe("licence=free")


def test_songs_of_unknown_licence_are_left_out_of_a_commercial_set(tmp_path):
    for number in range(2):
        write_wav(tmp_path / "music" / "Somebody" / f"{number}.wav", seed=number, seconds=3, sample_rate=16000)
    with pytest.raises(MixdataError) as caught:
        mixdata.build(small_recipe("licence=commercial"), tmp_path / "set", [f"folder:{tmp_path / 'music'}"], workers=0, quiet=True)
    assert "its licence is unknown, which counts as not allowed for commercial use" in str(caught.value)
    assert "--set licence=research" in str(caught.value) and not (tmp_path / "set").exists()
    made = mixdata.build(
        small_recipe("licence=commercial"), tmp_path / "set", [SONGS, f"folder:{tmp_path / 'music'}"], workers=0, limit=2, quiet=True
    )
    left_out = made.songs[made.songs["status"] == "rejected"]
    assert set(left_out["reason"]) == {"licence"} and set(left_out["corpus"]) == {"folder"} and len(left_out) == 2
    assert made.meta["licences"]["songs"] == {"CC0-1.0": 2} and made.meta["licences"]["use"] == "commercial"
    assert ask("licence", tmp_path / "set", "--use", "commercial").exit_code == 0


def test_weights_that_forbid_the_use_stop_the_build_before_anything_is_written(tmp_path):
    (tmp_path / "stems").mkdir()
    files = {"separator": "files", "pattern": f"{tmp_path}/stems/{{song}}/{{stem}}.wav", "model": "mine", "licence": "CC-BY-NC-4.0"}
    recipe = small_recipe("licence=commercial", separate=files)
    assert recipe.licences() == {"separate: files:mine": "CC-BY-NC-4.0"}
    with pytest.raises(UsageError, match=r"separate: files:mine: its licence, CC-BY-NC-4\.0, forbids commercial use.*licence=research"):
        mixdata.build(recipe, tmp_path / "set", [SONGS], workers=0, quiet=True)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("separator", ["builtin", "oracle"])
def test_separators_without_weights_add_no_licence(separator):
    assert small_recipe(separate={"separator": separator}).licences() == {}


def test_weights_of_demucs_are_for_research_wherever_they_lie(tmp_path):
    from test_demucs import network, save_safetensors

    from mixdata.separation import load
    from mixdata.separation.demucs_weights import training_data

    save_safetensors(network(0), tmp_path / "aaaa0000.safetensors")
    for name in ("htdemucs", "mine"):
        (tmp_path / f"{name}.yaml").write_text("models: ['aaaa0000']\n")
    found = {name: load({"separator": "demucs", "model": name, "repo": str(tmp_path), "device": "cpu"}) for name in ("htdemucs", "mine")}
    assert (found["htdemucs"].licence, found["mine"].licence) == ("demucs-weights", "unknown")
    assert "MUSDB18-HQ train" in found["htdemucs"].trained_on and found["mine"].trained_on == ()
    assert "MUSDB18-HQ test" in training_data("mdx_extra_q") and "MUSDB18-HQ test" not in training_data("htdemucs_ft")  # README of demucs
    assert training_data("mdx") == ("MUSDB18-HQ train",) and training_data("hf://someone/htdemucs") == ()


def test_impulse_responses_have_the_licence_that_lies_beside_them(tmp_path):
    from mixdata.recipes.steps.effects import responses_licence

    assert responses_licence(None) == {}
    assert list(responses_licence(str(tmp_path)).values()) == ["unknown"]
    (tmp_path / "licence.txt").write_text(" CC BY-SA 3.0\nOpenAIR\n")
    assert list(responses_licence(str(tmp_path)).values()) == ["CC BY-SA 3.0"]
    words = ["effects.remove.from=[convolution]", "effects.remove.count=1", f"effects.impulse_responses={tmp_path}"]
    assert list(mixdata.load_recipe("effect_removal", words).licences().values()) == ["CC BY-SA 3.0"]
    assert mixdata.load_recipe("effect_removal").licences() == {}


# What a dataset says


def ask(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_dataset_and_card_name_the_result(built):
    meta = json.loads((built / "dataset.json").read_text())
    assert meta["licence"] == ["CC0-1.0"] and meta["licences"]["result"]["id"] == "CC0-1.0" and meta["licences"]["use"] == "any"
    card = (built / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "cc0-1.0" and "license_name" not in front
    assert "**Licence of the whole: CC0-1.0**. It may be used commercially." in card
    assert json.loads((built / "croissant.json").read_text())["license"] == ["https://creativecommons.org/publicdomain/zero/1.0/"]


def test_a_card_gives_hugging_face_a_name_where_it_has_no_id():
    from mixdata.report.card import _license

    assert _license(combined(["restricted"]).as_dict()) == {"license": "other", "license_name": "restricted"}
    assert _license(combined(["MIT", "ISC"]).as_dict()) == {"license": "other", "license_name": "ISC; MIT"}
    assert _license(combined(["CC0", "ask me"]).as_dict()) == {"license": "unknown", "license_name": "CC0-1.0; ask me"}
    assert hugging_face("CC-BY-NC-SA-4.0") == "cc-by-nc-sa-4.0" and hugging_face("CC-BY-SA-2.5") == "other"


def test_the_command_explains_a_dataset_song_by_song(built):
    done = ask("licence", built)
    assert done.exit_code == 0 and done.stdout.splitlines()[0] == f"{built}: CC0-1.0"
    assert "It may be used commercially." in done.stdout and "CC0-1.0: 5 songs, 35.0 s\n" in done.stdout
    assert all(f"    synth-{number:04d}\n" in done.stdout for number in range(5))
    assert ask("licence", built, "--use", "commercial").exit_code == 0


def test_the_command_lists_who_must_be_named_and_what_stands_against_a_use(tmp_path):
    from test_import import member, noise, write_tar

    from mixdata.interchange.importing import import_webdataset

    samples = {"a": "CC BY 4.0", "b": "CC-BY-NC-SA-4.0 AND demucs-weights", "c": "ask\x1b[31m me"}
    members = [
        part
        for key, terms in samples.items()
        for part in ((f"{key}.vocals.flac", member(noise(0), "flac16")), (f"{key}.json", json.dumps({"license": terms}).encode()))
    ]
    import_webdataset([write_tar(tmp_path / "x.tar", members)], tmp_path / "set")
    done = ask("licence", tmp_path / "set")
    assert done.exit_code == 0 and "CC-BY-4.0: 1 song, " in done.stdout and "; their authors must be named" in done.stdout
    assert "\x1b" not in done.stdout
    done = ask("licence", tmp_path / "set", "--use", "commercial")
    against = done.stdout.split("not allowed for commercial use:\n")[1].splitlines()
    assert done.exit_code == 1 and len(against) == 2
    assert against[0].startswith("  b: its licence, CC-BY-NC-SA-4.0, forbids commercial use; its licence, demucs-weights, forbids")
    facts = json.loads(ask("licence", tmp_path / "set", "--json").stdout)
    assert facts["result"]["id"] == "unknown" and [song["title"] for song in facts["tracks"]] == ["a", "b", "c"]
    assert ask("licence", tmp_path / "set", "--use", "research").exit_code == 0


@pytest.mark.parametrize("texts", [("CC-BY-SA-3.0", "CC-BY-4.0"), ("BSD-3-Clause", "GPL-2.0"), ("CC-BY-NC-4.0", "CC-BY-NC-SA-3.0")])
def test_the_whole_is_under_the_licence_that_share_alike_asks_for(texts):
    result = combined(texts)
    assert result.id == result.share_alike and any(f"under {result.id} and no other" in line for line in explained(result.as_dict()))


def test_names_cannot_steer_the_terminal():
    from mixdata.cli.licence import _text

    songs = [{"title": "a\x1b[31m", "artist": "b\n", "licence": "c\x1b d", "seconds": None}]
    said = "\n".join(_text(songs, {"steps": {"e\x1b": "f\x1b"}}))
    assert "\x1b" not in said and "    a\ufffd[31m, by b\ufffd" in said


def test_songs_taken_from_a_dataset_stay_under_the_terms_of_its_weights(built, tmp_path):
    from mixdata.corpora import load_corpus
    from mixdata.shards.index import checksum

    shutil.copytree(built, tmp_path / "set")
    meta = json.loads((built / "dataset.json").read_text())
    meta["licences"]["steps"] = {"separate: demucs:htdemucs": "demucs-weights"}
    meta["checksum"] = checksum({name: value for name, value in meta.items() if name != "checksum"})
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(meta))
    assert {song.licence for song in load_corpus(f"dataset:{tmp_path / 'set'}")} == {"CC0-1.0 AND demucs-weights"}
    assert {song.licence for song in load_corpus(f"dataset:{built}")} == {"CC0-1.0"}
    done = ask("licence", tmp_path / "set", "--use", "commercial")
    assert done.exit_code == 1 and "\nin every song: separate: demucs:htdemucs: demucs-weights\n" in done.stdout
    assert "  separate: demucs:htdemucs: its licence, demucs-weights, forbids commercial use\n" in done.stdout


def test_licences_joined_by_and_are_those_of_each():
    assert joined(["CC0-1.0", "CC0-1.0 AND MIT", "MIT"]) == "CC0-1.0 AND MIT"
    assert [terms.id for terms in licences_in("CC BY 4.0 AND cc0")] == ["CC-BY-4.0", "CC0-1.0"]
