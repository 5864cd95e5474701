"""Plug-ins: pedalboard's own, and files by way of a pedalboard that is made up, as no plug-in is at hand everywhere."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest

from mixdata.effects import describe, from_record
from mixdata.effects.delay import Delay
from mixdata.effects.gain import Gain
from mixdata.effects.plugin import Plugin, PluginParameter, _loaded
from mixdata.effects.reverb import Reverb
from mixdata.errors import EffectError, RecipeError
from mixdata.recipes.model import recipe_from_data

RATE = 44100


def noise(frames: int = RATE, channels: int = 2, dtype=np.float32) -> np.ndarray:
    return (np.random.default_rng(4).normal(size=(channels, frames)) * 0.1).astype(dtype)


def plugin(name: str, **values: float | str) -> Plugin:
    given = [PluginParameter(key, text=value) if isinstance(value, str) else PluginParameter(key, value) for key, value in values.items()]
    return Plugin(name, tuple(given))


@pytest.fixture
def forget():
    """Keep no plug-in from one test to another."""
    _loaded.cache_clear()
    yield
    _loaded.cache_clear()


def test_no_plugin_changes_nothing_and_needs_no_pedalboard(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    assert np.array_equal(Plugin()(noise(), RATE), noise())


def test_without_pedalboard_the_error_says_what_to_install(monkeypatch, forget):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(EffectError, match=r"pip install 'mixdata\[plugins\]'"):
        Plugin("Chorus")(noise(), RATE)


def test_effects_are_imported_without_pedalboard_and_lameenc():
    code = "import sys, mixdata.effects; print('pedalboard' in sys.modules, 'lameenc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["False", "False"]


def test_a_plugin_is_a_record():
    effect = Plugin("Reverb", (PluginParameter("wet_level", 0.5), PluginParameter("mode", text="HPF24")), choice="left")
    assert from_record(json.loads(json.dumps(describe(effect)))) == effect


class TestWithPedalboard:
    """What pedalboard is needed for."""

    @pytest.fixture(autouse=True)
    def needed(self):
        self.pedalboard = pytest.importorskip("pedalboard")

    def test_a_built_in_effect_is_the_one_of_pedalboard(self):
        expected = self.pedalboard.Chorus(rate_hz=2.0, mix=0.3)(noise(), RATE)
        assert np.array_equal(plugin("Chorus", rate_hz=2, mix=0.3)(noise(), RATE), expected)

    def test_it_computes_what_our_own_effects_compute(self):
        assert np.abs(plugin("Gain", gain_db=-7)(noise(), RATE) - Gain(-7)(noise(), RATE)).max() < 1e-6
        theirs = plugin("Delay", delay_seconds=0.2, feedback=0.4, mix=0.3)(noise(), RATE)
        assert np.abs(theirs - Delay(time_s=0.2, feedback=0.4, mix=0.3)(noise(), RATE)).max() < 1e-5
        audio = noise()
        audio[:, :4410] = 0
        theirs = plugin("Reverb", room_size=0.8, damping=0.1, wet_level=0.4, dry_level=0.6, width=0.6)(audio, RATE)
        assert np.abs(theirs - 2 * Reverb(room=0.8, damping=0.1, mix=0.4, width=0.6)(audio, RATE)).max() < 1e-5

    def test_parameters_with_names_take_a_text(self):
        expected = self.pedalboard.LadderFilter(mode=self.pedalboard.LadderFilter.Mode.HPF24, cutoff_hz=900)(noise(), RATE)
        assert np.array_equal(plugin("LadderFilter", mode="HPF24", cutoff_hz=900)(noise(), RATE), expected)
        with pytest.raises(EffectError, match="mode cannot be 'HPF': it is one of LPF12"):
            plugin("LadderFilter", mode="HPF")(noise(), RATE)

    def test_each_call_starts_from_rest(self):
        effect = plugin("Reverb", wet_level=1.0)
        first = effect(noise(), RATE)
        assert first[:, 2000:].any()
        assert np.array_equal(effect(noise(), RATE), first)
        assert not effect(np.zeros((2, 9000), np.float32), RATE).any()

    def test_delay_that_is_reported_is_taken_off_and_length_is_kept(self):
        audio = np.zeros((2, 20_000), np.float32)
        audio[:, 7000] = 0.5
        for effect in (plugin("PitchShift", semitones=0), plugin("MP3Compressor"), plugin("Limiter")):
            out = effect(audio, RATE)
            assert out.shape == audio.shape and np.argmax(np.abs(out[0])) == 7000, effect

    def test_types_and_pieces(self):
        out = plugin("Gain", gain_db=6)(noise(900, dtype=np.float64).reshape(3, 2, 300), RATE)
        assert out.dtype == np.float64 and out.shape == (3, 2, 300)

    @pytest.mark.parametrize(
        "effect, message",
        [
            (plugin("Reverbb"), "pedalboard has no effect 'Reverbb'; did you mean 'Reverb'"),
            (plugin("Convolution"), "pedalboard has no effect 'Convolution'"),
            (plugin("VST3Plugin"), "pedalboard has no effect 'VST3Plugin'"),
            (plugin("Reverb", wetlevel=1), "plugin Reverb has no parameter 'wetlevel'; did you mean 'wet_level'"),
            (plugin("Reverb", is_effect=0), "plugin Reverb has no parameter 'is_effect'"),
            (plugin("Reverb", wet_level=30), "plugin Reverb: wet_level cannot be 30.0"),
            (plugin("nowhere.vst3"), "plugin nowhere.vst3: there is no such file"),
        ],
    )
    def test_what_does_not_exist_is_refused_by_name(self, effect, message):
        with pytest.raises(EffectError) as caught:
            effect(noise(), RATE)
        assert message in str(caught.value)

    def test_a_file_that_is_no_plugin_is_refused(self, tmp_path):
        (tmp_path / "text.vst3").write_text("This is no plug-in.")
        with pytest.raises(EffectError, match=r"text\.vst3 cannot be loaded"):
            Plugin(str(tmp_path / "text.vst3"))(noise(), RATE)


class Halver:
    """A plug-in that multiplies by its gain, and tells how it was called."""

    def __init__(self, path, plugin_name):
        self.path, self.plugin_name = path, plugin_name
        self.parameters = dict.fromkeys(("gain", "bypass", "shape"))
        self.gain, self.bypass, self.shape = 0.5, False, "Round"
        self.calls: list[tuple] = []

    def process(self, audio, sample_rate, reset):
        assert audio.dtype == np.float32
        if sample_rate == 8000:
            raise RuntimeError("not at 8 kHz")
        self.calls.append((sample_rate, reset, type(self.bypass)))
        return audio if self.bypass else audio * np.float32(self.gain)


@pytest.fixture
def made_up(monkeypatch, forget, tmp_path) -> tuple[str, list[Halver]]:
    """A pedalboard that loads `Halver` from any file."""
    loaded: list[Halver] = []

    def load_plugin(path, plugin_name=None):
        loaded.append(Halver(path, plugin_name))
        return loaded[-1]

    monkeypatch.setitem(sys.modules, "pedalboard", types.SimpleNamespace(load_plugin=load_plugin))
    (tmp_path / "halver.vst3").touch()
    return str(tmp_path / "halver.vst3"), loaded


def test_a_file_is_loaded_once_for_each_setting(made_up):
    path, loaded = made_up
    soft, loud = Plugin(path, choice="left"), Plugin(path, (PluginParameter("gain", 2.0),))
    for _ in range(2):
        assert np.array_equal(soft(noise(), RATE), noise() * np.float32(0.5))
        assert np.array_equal(loud(noise(), RATE), noise() * 2)
    assert [(each.path, each.plugin_name) for each in loaded] == [(path, "left"), (path, None)]
    assert loaded[0].calls == [(RATE, True, bool)] * 2


def test_switches_stay_switches(made_up):
    path, loaded = made_up
    assert np.array_equal(Plugin(path, (PluginParameter("bypass", 1),))(noise(), RATE), noise())
    assert loaded[0].calls == [(RATE, True, bool)]


def test_a_text_is_given_as_it_is_and_audio_as_float32(made_up):
    path, loaded = made_up
    out = Plugin(path, (PluginParameter("shape", text="Square"),))(noise(dtype=np.float64), RATE)
    assert loaded[0].shape == "Square"
    assert out.dtype == np.float64 and np.abs(out - noise(dtype=np.float64) / 2).max() < 1e-7


def test_errors_of_a_file_name_it(made_up):
    path, loaded = made_up
    with pytest.raises(EffectError, match=r"halver\.vst3 has no parameter 'gian'; did you mean 'gain'"):
        Plugin(path, (PluginParameter("gian", 1),))(noise(), RATE)
    with pytest.raises(EffectError, match=r"halver\.vst3 failed on 2 channels at 8000 Hz: not at 8 kHz"):
        Plugin(path)(noise(), 8000)
    loaded[-1].process = lambda audio, rate, reset: audio[:, 5:]
    with pytest.raises(EffectError, match="must keep channels and length"):
        Plugin(path)(noise(), RATE)


def test_recipes_and_records_name_plug_in_files_only_from_trusted_folders(tmp_path, monkeypatch):
    """They come from anywhere, and a plug-in runs native code."""
    (tmp_path / "any.VST3").write_text("This is no plug-in.")
    record = describe(Plugin(str(tmp_path / "any.VST3")))
    with pytest.raises(EffectError, match="MIXDATA_PLUGIN_FOLDERS"):
        from_record(record)
    with pytest.raises(EffectError, match="MIXDATA_PLUGIN_FOLDERS"):
        from_record({"effect": "chain", "effects": [record]})
    with pytest.raises(RecipeError, match="MIXDATA_PLUGIN_FOLDERS"):
        effects = {"remove": {"from": ["plugin"], "count": 1}, "plugin": {"plugin": record["plugin"]}}
        recipe_from_data({"name": "r", "steps": ["stems", "segment", {"effects": effects}]})
    monkeypatch.setenv("MIXDATA_PLUGIN_FOLDERS", str(tmp_path))
    assert from_record(record) == Plugin(str(tmp_path / "any.VST3"))
    assert from_record({"effect": "plugin", "plugin": "Chorus"}) == Plugin("Chorus")
