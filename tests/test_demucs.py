"""Demucs on small real networks made on the spot: equal to the demucs package, and closed to crafted files."""

import builtins
import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("demucs")

from demucs.apply import BagOfModels, apply_model  # noqa: E402
from demucs.demucs import Demucs as TimeDemucs  # noqa: E402
from demucs.hdemucs import HDemucs  # noqa: E402
from demucs.htdemucs import HTDemucs  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from mixdata.errors import MixdataError, SongError, UsageError  # noqa: E402
from mixdata.separation import load  # noqa: E402

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 44100
SMALL = {
    "sources": SOURCES,
    "channels": 8,
    "dconv_comp": 4,
    "dconv_depth": 1,
    "depth": 4,
    "nfft": 1024,
    "t_layers": 1,
    "t_heads": 2,
    "t_hidden_scale": 1.0,
    "bottom_channels": 16,
    "segment": Fraction(3, 2),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(seed=0, klass=HTDemucs, **changes):
    small = {HTDemucs: SMALL, HDemucs: {"depth": 5, "nfft": 1024}, TimeDemucs: {"depth": 3}}[klass]
    arguments = {"sources": SOURCES, "channels": 4, **small, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return klass(**arguments).eval()


def encoded(value):
    if isinstance(value, Fraction):
        return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    raise TypeError(value)


def save_safetensors(model, path, **metadata):
    """As demucs' tools/export_hf.py lays it out."""
    args, kwargs = model._init_args_kwargs
    plain = {
        "klass": f"{type(model).__module__}.{type(model).__qualname__}",
        "args": json.dumps(args, default=encoded),
        "kwargs": json.dumps(kwargs, default=encoded),
    }
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, metadata={**plain, **metadata})
    return path


def save_pickle(model, path, **changes):
    """As demucs' states.serialize_model lays it out."""
    args, kwargs = model._init_args_kwargs
    package = {"klass": type(model), "args": args, "kwargs": kwargs, "state": model.state_dict(), "training_args": {}}
    torch.save({**package, **changes}, path)
    return path


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def music(seconds, rate=RATE, channels=2, seed=0):
    noise = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))
    return (np.cumsum(noise, axis=1) * 0.002 + 0.05 * noise).astype(np.float32)


def by_demucs(model, audio):
    """What demucs itself does with a mix (demucs/api.py), without the mean that it adds to every stem."""
    wav = torch.from_numpy(audio)
    ref = wav.mean(0)
    with torch.no_grad():
        out = apply_model(model, ((wav - ref.mean()) / (ref.std() + 1e-8))[None], shifts=0, split=True, overlap=0.25)
    return dict(zip(model.sources, (out * (ref.std() + 1e-8))[0].numpy(), strict=True))


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """A local model repository: a safetensors model, another one, a pickle, and a bag of two."""
    folder = tmp_path_factory.mktemp("repo")
    save_safetensors(network(0), folder / "aaaa0000.safetensors")
    save_safetensors(network(1), folder / "bbbb1111.safetensors")
    save_pickle(network(2), folder / "cccc2222.th")
    (folder / "small.yaml").write_text("models: ['aaaa0000']\n")
    (folder / "pair.yaml").write_text("models: ['aaaa0000', 'bbbb1111']\nweights: [[1, 0, 1, 1], [0, 1, 1, 3]]\nsegment: 1.2\n")
    return folder


def loaded(repo, model="small", **settings):
    return load({"separator": "demucs", "model": model, "repo": str(repo), "device": "cpu", **settings})


@pytest.mark.parametrize("seconds", [8.0, 0.5])
def test_estimates_equal_those_of_demucs_itself(repo, seconds):
    audio = music(seconds)
    ours, theirs = loaded(repo)(audio, RATE), by_demucs(network(0), audio)
    assert list(ours) == SOURCES
    for stem in SOURCES:
        assert ours[stem].dtype == np.float32 and ours[stem].shape == audio.shape
        np.testing.assert_allclose(ours[stem], theirs[stem], atol=1e-5)
    assert max(np.abs(stem).max() for stem in ours.values()) > 1e-3


def test_bag_equals_that_of_demucs_itself(repo):
    audio = music(1.5)
    bag = BagOfModels([network(0), network(1)], [[1, 0, 1, 1], [0, 1, 1, 3]], 1.2)
    ours, theirs = loaded(repo, "pair")(audio, RATE), by_demucs(bag, audio)
    for stem in SOURCES:
        np.testing.assert_allclose(ours[stem], theirs[stem], atol=1e-5)


@pytest.mark.parametrize("klass", [HDemucs, TimeDemucs])
@pytest.mark.parametrize("frames", [1, 1000, RATE, 3 * RATE + 1])
def test_older_networks_work_at_any_length(tmp_path, klass, frames):
    model = network(3, klass, segment=Fraction(4, 3))  # a fourth of which is repeated: 3 s and a sample end with a segment of one sample
    save_safetensors(model, tmp_path / "dddd3333.safetensors")
    audio = music(frames / RATE)
    ours = loaded(tmp_path, "dddd3333")(audio, RATE)
    assert all(stem.shape == audio.shape and np.isfinite(stem).all() for stem in ours.values())
    if frames == RATE:
        theirs = by_demucs(model, audio)
        assert all(np.allclose(ours[stem], theirs[stem], atol=1e-5) for stem in SOURCES)


@pytest.mark.parametrize("rate", [48000, 22050])
@pytest.mark.parametrize("channels", [1, 2])
def test_shape_and_time_are_kept_at_other_rates_and_in_mono(repo, rate, channels):
    audio = music(1.7, rate, channels)
    separate = loaded(repo)
    found = separate(audio, rate)
    assert all(stem.shape == audio.shape and stem.dtype == np.float32 for stem in found.values())
    from mixdata.audio import resample

    twice = np.repeat(resample(audio, rate, RATE), 2 // channels, axis=0)
    for stem, there in separate(twice, RATE).items():
        back = resample(there, RATE, rate)[:, : audio.shape[1]]
        np.testing.assert_allclose(found[stem], back.mean(axis=0, keepdims=True) if channels == 1 else back, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 100])
def test_tiny_and_silent_audio_work(repo, frames):
    separate = loaded(repo)
    for audio in (music(frames / RATE), np.zeros((2, frames), np.float32)):
        assert all(np.isfinite(stem).all() and stem.shape == audio.shape for stem in separate(audio, RATE).values())
    assert max(np.abs(stem).max() for stem in separate(np.zeros((2, 500), np.float32), RATE).values()) < 1e-6


def test_level_is_neither_clipped_nor_rescaled(repo):
    audio = music(1.0)
    quiet, loud = loaded(repo)(audio, RATE), loaded(repo)(audio * 64, RATE)
    for stem in SOURCES:
        np.testing.assert_allclose(loud[stem] / 64, quiet[stem], atol=1e-5)
    assert max(np.abs(stem).max() for stem in loud.values()) > 1


def test_constant_offset_does_not_enter_every_stem(repo):
    audio = music(1.0)
    plain, shifted = loaded(repo)(audio, RATE), loaded(repo)(audio + np.float32(0.25), RATE)
    for stem in SOURCES:
        np.testing.assert_allclose(shifted[stem], plain[stem], atol=1e-4)


@pytest.mark.parametrize("shifts", [0, 2])
def test_same_input_gives_same_bits_and_no_global_generator_moves(repo, shifts):
    audio = music(1.0)
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    states = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state())
    first, second = (loaded(repo, shifts=shifts)(audio, RATE) for _ in range(2))
    assert all(np.array_equal(first[stem], second[stem]) for stem in SOURCES)
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])


def test_shifted_passes_equal_those_of_demucs_with_the_same_offsets(repo, monkeypatch):
    from mixdata.rng import stream

    audio = music(1.0)
    offsets = iter([int(stream(0, "demucs", "shift", n).integers(RATE // 2 + 1)) for n in range(2)])
    monkeypatch.setattr("demucs.apply.random.randint", lambda low, high: next(offsets))
    wav = torch.from_numpy(audio)
    ref = wav.mean(0)
    with torch.no_grad():
        theirs = apply_model(network(0), ((wav - ref.mean()) / (ref.std() + 1e-8))[None], shifts=2)[0] * (ref.std() + 1e-8)
    ours = loaded(repo, shifts=2)(audio, RATE)
    for number, stem in enumerate(SOURCES):
        np.testing.assert_allclose(ours[stem], theirs[number].numpy(), atol=1e-5)


def test_six_channels_are_refused(repo):
    with pytest.raises(SongError, match="channels"):
        loaded(repo)(music(0.1, channels=6), RATE)


def test_describe_tells_weights_and_is_json(repo):
    separate = loaded(repo, "pair")
    told = json.loads(json.dumps(separate.describe()))
    assert told["weights_sha256"] == {s: sha256(repo / f"{s}.safetensors") for s in ("aaaa0000", "bbbb1111")}
    assert told["package"] == "demucs 4.1.0" and told["licence"] == "unknown"


def test_fingerprint_depends_on_all_that_decides_the_output(repo, tmp_path):
    base = loaded(repo).fingerprint
    assert base == loaded(repo).fingerprint
    settings = [{"overlap": 0.5}, {"shifts": 1}, {"segment": 1.0}]
    others = {loaded(repo, **change).fingerprint for change in settings} | {loaded(repo, "pair").fingerprint}
    save_safetensors(network(9), tmp_path / "aaaa0000.safetensors")
    (tmp_path / "small.yaml").write_text("models: ['aaaa0000']\n")
    others.add(loaded(tmp_path).fingerprint)
    assert len(others) == 5 and base not in others


@pytest.mark.parametrize(
    "other",
    [
        "models: ['bbbb1111', 'aaaa0000']\nsegment: 1.2\n",
        "models: ['aaaa0000', 'bbbb1111', 'aaaa0000']\nsegment: 1.2\n",
        "models: ['aaaa0000', 'bbbb1111']\nsegment: 1.2\nweights: [[1, 0, 1, 1], [0, 1, 1, 3]]\n",
        "models: ['aaaa0000', 'bbbb1111']\nsegment: 1.0\n",
        "models: ['aaaa0000', 'bbbb1111']\n",
    ],
    ids=["order", "twice", "weights", "segment", "no segment"],
)
def test_fingerprint_depends_on_all_that_a_bag_says_of_the_same_weights(repo, tmp_path, other):
    for name in ("aaaa0000", "bbbb1111"):
        (tmp_path / f"{name}.safetensors").symlink_to(repo / f"{name}.safetensors")
    (tmp_path / "one.yaml").write_text("models: ['aaaa0000', 'bbbb1111']\nsegment: 1.2\n")
    (tmp_path / "same.yaml").write_text("segment: 1.2\nmodels: ['aaaa0000', 'bbbb1111']\n")
    (tmp_path / "other.yaml").write_text(other)
    one, same, different = (loaded(tmp_path, name).fingerprint for name in ("one", "same", "other"))
    assert one == same != different


def test_longer_segments_than_trained_are_refused(repo):
    with pytest.raises(UsageError, match=r"1\.5 s"):
        loaded(repo, segment=3.0)


def test_released_models_of_mdx_extra_warn_of_the_musdb_test_set(tmp_path):
    save_safetensors(network(0), tmp_path / "aaaa0000.safetensors")
    (tmp_path / "mdx_extra.yaml").write_text("models: ['aaaa0000']\n")
    (tmp_path / "mine.yaml").write_text("models: ['aaaa0000']\n")
    told = loaded(tmp_path, "mdx_extra").describe()
    assert told["licence"] == "research" and any("MUSDB18 test set" in text for text in told["warnings"])
    assert loaded(tmp_path, "mine").describe()["warnings"] == []


# What a file may not do


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("klass", ["os.mkdir", "os.system", "builtins.exec", "subprocess.Popen", "demucs.apply.BagOfModels", "HTDemucs"])
def test_classes_outside_the_list_are_refused_and_nothing_runs(tmp_path, monkeypatch, klass):
    mark = tmp_path / "ran"
    first = {"os.mkdir": str(mark), "builtins.exec": f"import os; os.mkdir({str(mark)!r})"}.get(klass, f"mkdir {mark}")
    args = [first] if klass != "subprocess.Popen" else [["mkdir", str(mark)]]
    save_safetensors(network(0), tmp_path / "eeee4444.safetensors", klass=klass, args=json.dumps(args), kwargs="{}")
    ran = []
    monkeypatch.setattr(os, "system", lambda *a: ran.append(a))
    monkeypatch.setattr(builtins, "exec", lambda *a: ran.append(a))
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: ran.append(a))
    with pytest.raises(MixdataError, match=r"only demucs\.htdemucs\.HTDemucs"):
        loaded(tmp_path, "eeee4444")
    assert not ran and not mark.exists()


def test_a_class_is_not_even_imported(tmp_path):
    (tmp_path / "evil_module_of_the_test.py").write_text("raise SystemExit(9)")
    save_safetensors(network(0), tmp_path / "eeee4444.safetensors", klass="evil_module_of_the_test.Model")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(MixdataError, match="evil_module_of_the_test"):
            loaded(tmp_path, "eeee4444")
    finally:
        sys.path.remove(str(tmp_path))
    assert "evil_module_of_the_test" not in sys.modules


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": 10**9}, "channels"),
        ({"channels": 999_999}, "must have the shape"),
        ({"depth": 10**6}, "depth"),
        ({"t_layers": 64}, "missing"),
        ({"nfft": 2**40}, "nfft"),
        ({"samplerate": 0}, "samplerate"),
        ({"segment": 1e300}, "segment"),
        ({"segment": {"_type": "fraction", "numerator": 1, "denominator": 0}}, "segment"),
        ({"segment": {"_type": "fraction", "numerator": "1", "denominator": 1}}, "safetensors"),
        ({"segment": None}, "segment"),
        ({"kernel_size": 0}, "missing|built"),
        ({"t_emb": {"a": [1]}}, "t_emb"),
        ({"sources": ["../drums", "b", "c", "d"]}, "sources"),
        ({"sources": ["a", "a", "a", "a"]}, "sources"),
        ({"sources": []}, "sources"),
        ({"sources": None}, "sources"),
    ],
)
def test_arguments_out_of_all_bounds_are_refused(tmp_path, changes, says):
    kwargs = {**SMALL, "segment": {"_type": "fraction", "numerator": 3, "denominator": 2}, **changes}
    save_safetensors(network(0), tmp_path / "eeee4444.safetensors", kwargs=json.dumps(kwargs))
    with pytest.raises(MixdataError, match=says):
        loaded(tmp_path, "eeee4444")


def test_a_network_is_measured_before_memory_is_taken_for_it(tmp_path):
    """Of 5 TB, which no test machine has: so what is told is not that memory ran out but that the file does not hold it."""
    kwargs = {**SMALL, "segment": 1.5, "channels": 20_000}
    file = save_safetensors(network(0), tmp_path / "eeee4444.safetensors", kwargs=json.dumps(kwargs))
    with pytest.raises(MixdataError, match=r"must have the shape \(20000, "):
        loaded(tmp_path, "eeee4444")
    assert file.stat().st_size < 2_000_000


def test_arguments_that_demucs_dropped_are_left_out_and_told(tmp_path):
    kwargs = {**SMALL, "segment": 1.5, "an_old_argument": 3}
    save_safetensors(network(0), tmp_path / "eeee4444.safetensors", kwargs=json.dumps(kwargs))
    assert loaded(tmp_path, "eeee4444").describe()["ignored_arguments"] == ["an_old_argument"]


@pytest.mark.parametrize("metadata", [{"args": "[[["}, {"kwargs": "[1]"}, {"args": "{}"}, {"args": "[" * 100_000}, {"kwargs": "null"}])
def test_broken_arguments_are_a_clean_error(tmp_path, metadata):
    save_safetensors(network(0), tmp_path / "eeee4444.safetensors", **metadata)
    with pytest.raises(MixdataError):
        loaded(tmp_path, "eeee4444")


@pytest.mark.parametrize("data", [b"", b"no tensors", (2**60).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}"])
def test_broken_files_are_a_clean_error(tmp_path, data):
    (tmp_path / "eeee4444.safetensors").write_bytes(data)
    with pytest.raises(MixdataError, match=r"safetensors|class"):
        loaded(tmp_path, "eeee4444")


def test_quantized_models_are_refused(tmp_path):
    save_safetensors(network(0), tmp_path / "eeee4444.safetensors", structure='{"_class": "os.system"}')
    with pytest.raises(MixdataError, match="quantized"):
        loaded(tmp_path, "eeee4444")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = network(0)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    save_safetensors(model, tmp_path / "eeee4444.safetensors")
    with pytest.raises(MixdataError, match="finite"):
        loaded(tmp_path, "eeee4444")


def test_a_pickle_is_never_opened_without_its_hash(tmp_path):
    mark = tmp_path / "ran"
    file = tmp_path / "eeee4444.th"
    file.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(MixdataError) as caught:
        loaded(tmp_path, "eeee4444")
    assert f'weights_sha256: {{"eeee4444": "{sha256(file)}"}}' in str(caught.value)
    for wrong in ("0" * 64, sha256(file)[:-1] + ("0" if sha256(file)[-1] != "0" else "1")):
        with pytest.raises(MixdataError, match="not opened"):
            loaded(tmp_path, "eeee4444", weights_sha256={"eeee4444": wrong})
    assert not mark.exists()


def test_a_short_hash_pins_nothing(tmp_path):
    file = save_pickle(network(2), tmp_path / "eeee4444.th")
    with pytest.raises(UsageError, match="weights_sha256"):
        loaded(tmp_path, "eeee4444", weights_sha256={"eeee4444": sha256(file)[:8]})


@pytest.mark.parametrize("named", [False, True])
def test_a_pickle_with_its_hash_equals_demucs(tmp_path, named):
    file = save_pickle(network(2), tmp_path / "cccc2222.th")
    if named:
        file = file.rename(tmp_path / f"cccc2222-{sha256(file)[:8]}.th")
    audio = music(0.5)
    ours = loaded(tmp_path, "cccc2222", weights_sha256={"cccc2222": sha256(file).upper()})(audio, RATE)
    theirs = by_demucs(network(2), audio)
    for stem in SOURCES:
        np.testing.assert_allclose(ours[stem], theirs[stem], atol=1e-5)


def test_a_pickle_whose_name_lies_is_refused(tmp_path):
    file = save_pickle(network(2), tmp_path / "cccc2222-00000000.th")
    with pytest.raises(MixdataError, match="damaged"):
        loaded(tmp_path, "cccc2222", weights_sha256={"cccc2222": sha256(file)})


def test_a_trusted_pickle_of_another_class_is_refused(tmp_path):
    file = save_pickle(network(2), tmp_path / "cccc2222.th", klass=BagOfModels)
    with pytest.raises(MixdataError, match="BagOfModels"):
        loaded(tmp_path, "cccc2222", weights_sha256={"cccc2222": sha256(file)})


def test_half_precision_pickles_as_demucs_writes_them_are_read(tmp_path):
    model = network(2)
    file = save_pickle(model, tmp_path / "cccc2222.th", state={k: v.half() for k, v in model.state_dict().items()})
    separate = loaded(tmp_path, "cccc2222", weights_sha256={"cccc2222": sha256(file)})
    assert {p.dtype for p in separate.model.parameters()} == {torch.float32}


def test_safetensors_must_match_a_hash_that_is_given(repo):
    right = {"aaaa0000": sha256(repo / "aaaa0000.safetensors")}
    assert loaded(repo, weights_sha256=right).fingerprint == loaded(repo).fingerprint
    with pytest.raises(MixdataError, match="not opened"):
        loaded(repo, weights_sha256={"aaaa0000": "0" * 64})
    with pytest.raises(UsageError, match="ffff5555"):
        loaded(repo, weights_sha256={**right, "ffff5555": "0" * 64})


@pytest.mark.parametrize(
    "bag",
    [
        "models: ['../aaaa0000']", "models: ['a/b']", "models: []", "models: aaaa0000", "models: [12345678]", "other: 1", "- a", "",
        "models: ['none']",
        "models: ['aaaa0000']\nextra: 1", "models: ['aaaa0000']\nweights: [[1, 1]]", "models: ['aaaa0000']\nweights: [[0, 0, 0, 0]]",
        "models: ['aaaa0000']\nweights: [[.nan, 1, 1, 1]]", "models: ['aaaa0000']\nsegment: -1",
        "models: !!python/object/apply:os.getcwd []", "models: ['aaaa0000'",
    ],
)  # fmt: skip
def test_broken_bags_are_a_clean_error(repo, tmp_path, bag):
    (tmp_path / "aaaa0000.safetensors").write_bytes((repo / "aaaa0000.safetensors").read_bytes())
    (tmp_path / "bad.yaml").write_text(bag)
    with pytest.raises(MixdataError):
        loaded(tmp_path, "bad")


def test_a_network_that_cannot_run_is_a_clean_error(tmp_path):
    save_safetensors(network(0, HDemucs, depth=4, nfft=4096), tmp_path / "aaaa0000.safetensors")
    with pytest.raises(MixdataError, match="failed on"):
        loaded(tmp_path, "aaaa0000")(music(1.0), RATE)


def test_bags_of_unlike_models_are_refused(tmp_path):
    save_safetensors(network(0), tmp_path / "aaaa0000.safetensors")
    save_safetensors(network(0, sources=["a", "b"]), tmp_path / "bbbb1111.safetensors")
    (tmp_path / "odd.yaml").write_text("models: ['aaaa0000', 'bbbb1111']")
    with pytest.raises(MixdataError, match="differ"):
        loaded(tmp_path, "odd")


@pytest.mark.parametrize("model", ["../small", "hf://", "hf://a/b/c", "", "a/b", "hf://../x", "small\n"])
def test_names_that_are_paths_are_refused(repo, model):
    with pytest.raises(UsageError, match="model name"):
        loaded(repo, model)


def test_folders_and_models_that_do_not_exist_are_usage_errors(repo, tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        loaded(tmp_path / "none")
    with pytest.raises(UsageError, match="bags there: pair, small"):
        loaded(repo, "htdemucs")


def test_devices_that_do_not_exist_are_usage_errors(repo):
    for device in ("cuda:99", "gpu"):
        with pytest.raises(UsageError, match="device"):
            loaded(repo, device=device)


# The hub, without a network: a child process has its own cache


def hub_cache(home, repo_id, files):
    """Lay files out as huggingface_hub does: blobs, snapshots/<commit>/ links, refs/main."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = home / "hub" / f"models--{repo_id.replace('/', '--')}"
    for folder in ("blobs", f"snapshots/{commit}", "refs"):
        (root / folder).mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    for name, data in files.items():
        blob = root / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (root / "snapshots" / commit / name).symlink_to(f"../../blobs/{blob.name}")


CHILD = """
import json, sys
from mixdata.errors import MixdataError
from mixdata.separation import load
answers = {}
for model in sys.argv[1:]:
    try:
        separate = load(f"demucs:{model}")
        answers[model] = [separate.fingerprint, separate.describe()]
    except MixdataError as error:
        answers[model] = str(error)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def offline(repo, tmp_path_factory):
    """What loading says without a network, for a cached model, one of which only a pickle is cached, and one not cached."""
    home = tmp_path_factory.mktemp("home")
    weights, pickled = ((repo / name).read_bytes() for name in ("aaaa0000.safetensors", "cccc2222.th"))
    hub_cache(home, "someone/HTDemucs-tiny", {"htdemucs_tiny.yaml": b"models: ['aaaa0000']", "aaaa0000.safetensors": weights})
    hub_cache(home, "someone/Demucs-old", {"old.yaml": b"models: ['cccc2222']", "cccc2222.th": pickled})
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-c", CHILD, "htdemucs", "hf://someone/htdemucs_tiny", "hf://someone/old"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("checkpoints"))
    return json.loads(done.stdout)


def test_without_network_and_cache_the_error_says_how_to_fetch(offline):
    assert "hf download adefossez/HTDemucs" in offline["htdemucs"] and "htdemucs_ft" in offline["htdemucs"]


def test_models_of_the_hub_are_read_from_its_cache(repo, offline):
    fingerprint, told = offline["hf://someone/htdemucs_tiny"]
    assert fingerprint == loaded(repo).fingerprint
    assert told["source"] == "hf://someone/HTDemucs-tiny" and told["licence"] == "unknown"


def test_a_pickle_in_the_hub_is_not_fallen_back_to(offline):
    assert "cccc2222.safetensors" in offline["hf://someone/old"]
