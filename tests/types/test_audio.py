import base64
import io
import wave

import numpy as np
import pytest

from telic.errors import MediaError, MediaNotFoundError
from telic.types import Audio

WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(20)
TEXT = base64.b64encode(WAV).decode()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Audio(WAV),
        lambda: Audio(WAV, audio_format="wav"),
        lambda: Audio(WAV, audio_format="x-wav"),
        lambda: Audio(bytearray(WAV)),
        lambda: Audio(data=WAV, audio_format="WAV"),
        lambda: Audio(data=TEXT, audio_format="wav"),
        lambda: Audio(f"data:audio/wav;base64,{TEXT}"),
        lambda: Audio(f"data:audio/x-wav;base64,{TEXT}"),
        lambda: Audio({"data": TEXT, "audio_format": "wav"}),
        lambda: Audio(Audio(WAV)),
        lambda: Audio.of({"data": TEXT, "audio_format": "wav"}),
    ],
)
def test_equal_recordings_are_equal_whatever_they_were_made_of(make):
    audio = make()

    assert audio == Audio(WAV)
    assert audio.to_parts() == [{"type": "input_audio", "input_audio": {"data": TEXT, "format": "wav"}}]
    assert audio.to_dict() == {"data": TEXT, "audio_format": "wav"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"ID3....", "mp3"), (b"\xff\xfb....", "mp3"), (b"fLaC....", "flac"), (b"OggS....", "ogg")],
)
def test_the_bytes_say_their_format(data, kind):
    assert Audio(data).audio_format == kind


@pytest.mark.parametrize(
    ("arguments", "options", "fact"),
    [
        ((), {}, "made of one thing"),
        ((WAV,), {"data": WAV}, "made of one thing"),
        ((b"",), {}, "0 bytes"),
        ((b"unknown bytes",), {}, "no format known here"),
        ((WAV,), {"audio_format": "mp3"}, "said to be 'mp3', and its bytes are audio/wav"),
        ((WAV,), {"audio_format": ""}, "audio_format is ''"),
        ((WAV,), {"audio_format": "../x"}, "audio_format is '../x'"),
        ((b"\x89PNG\r\n\x1a\n",), {"audio_format": "wav"}, "image/png, which is no recording"),
        ((TEXT,), {}, "needs audio_format"),
        (("https://x/y.wav",), {}, "Audio.from_url"),
        (("/tmp/a.wav",), {}, "Audio.from_path"),
        (("@@@",), {"audio_format": "wav"}, "broken base64"),
        (("data:image/png;base64,iVBORw0KGgo=",), {}, "no recording's"),
        (({"data": TEXT, "rate": 3},), {}, "has no 'rate'"),
        ((3,), {}, "not of 3 of type int"),
    ],
)
def test_what_is_no_recording_is_refused_with_the_fact(arguments, options, fact):
    with pytest.raises(MediaError, match=fact):
        Audio(*arguments, **options)


def test_thirty_megabytes_are_refused():
    with pytest.raises(MediaError, match="20,000,000 is the most"):
        Audio(WAV + bytes(30_000_000))


# Arrays


def frames(audio):
    with wave.open(io.BytesIO(base64.b64decode(audio.data))) as file:
        return (
            file.getframerate(),
            file.getnchannels(),
            np.frombuffer(file.readframes(file.getnframes()), "<i2"),
        )


def test_an_array_becomes_a_wave_file():
    rate, channels, samples = frames(Audio.from_array(np.array([0.0, 0.5, -1.0, 1.0]), 16_000))

    assert (rate, channels) == (16_000, 1)
    assert samples.tolist() == [0, 16384, -32767, 32767]


@pytest.mark.parametrize(
    "array",
    [np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([[0, 32767], [-32767, 0]], np.int16), [[0.0, 1], [-1, 0]]],
)
def test_two_channels_are_kept(array):
    _, channels, samples = frames(Audio(array=array, sampling_rate=8000))

    assert channels == 2
    assert samples.tolist() == [0, 32767, -32767, 0]


def test_an_array_may_be_given_by_position():
    assert Audio(np.zeros(3), sampling_rate=8000) == Audio.from_array(np.zeros(3), 8000)


@pytest.mark.parametrize(
    ("array", "rate", "fact"),
    [
        (np.array([0.0, 2.0]), 8000, "from -1 to 1"),
        (np.array([np.nan]), 8000, "finite"),
        (np.array([40_000]), 8000, "exceed 16 bits"),
        (np.array([]), 8000, "at least one"),
        (np.zeros((2, 2, 2)), 8000, "shape"),
        (np.array(["a"]), 8000, "of numbers"),
        (np.array([True]), 8000, "of numbers"),
        (np.zeros(3), None, "sampling_rate"),
        (np.zeros(3), 0, "sampling_rate is 0"),
        (np.zeros(3), 16000.0, "whole number of hertz"),
        (np.zeros(3), True, "sampling_rate is True"),
        (np.zeros(11_000_000), 8000, "20,000,000 is the most"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(array, rate, fact):
    with pytest.raises(MediaError, match=fact):
        Audio(array=array, sampling_rate=rate)


def test_an_array_becomes_no_other_format():
    with pytest.raises(MediaError, match="becomes wav"):
        Audio.from_array(np.zeros(3), 8000, format="mp3")


def test_a_file_is_read_when_asked(tmp_path):
    wav, raw = tmp_path / "a.bin", tmp_path / "b.aac"
    wav.write_bytes(WAV)
    raw.write_bytes(b"\xff\xf1....")

    assert Audio.from_path(wav) == Audio(WAV)
    assert Audio.from_path(raw).audio_format == "aac"
    with pytest.raises(MediaNotFoundError):
        Audio.from_path(tmp_path / "none.wav")
    (tmp_path / "c.txt").write_text("hello")
    with pytest.raises(MediaError, match="text/plain"):
        Audio.from_path(tmp_path / "c.txt")


def test_a_repr_never_shows_megabytes():
    assert len(repr(Audio(WAV + bytes(5_000_000)))) < 100
