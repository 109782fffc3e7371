"""`Audio`: a recording in a prompt, as base64 text and the name of its format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from telic._optional import load, require
from telic.errors import MediaError
from telic.types._base import FieldValue
from telic.types._media import as_bytes, as_mapping, checked_size, decoded, kind_of, shown, split_data_uri
from telic.types._sources import download, mime_of_name, read_path

_FORMS: Final = (
    "a data URI, bytes and audio_format, an array and sampling_rate, or {'data': …, 'audio_format': …}"
)
_SAME: Final[Mapping[str, str]] = {
    "mpeg": "mp3", "mpga": "mp3", "x-mp3": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-flac": "flac",
    "x-m4a": "m4a", "mp4": "m4a",
}  # fmt: skip
_FULL_SCALE: Final = 32767.0


@final
class Audio(FieldValue):
    """A recording.

    Args:
        source: A data URI, bytes, an array of samples, a dict of the arguments below, or another `Audio`.
        data: The bytes, or their base64 text.
        audio_format: "wav", "mp3" …; where it is not given, the bytes show it.
        array: Samples, of shape (frames,) or (frames, channels): floats from -1 to 1, or whole numbers of 16 bits.
        sampling_rate: Of the array, in hertz.

    Raises:
        MediaError: No recording can be made of it.

    Example:
        >>> Audio(data="UklGRg==", audio_format="wav")
        Audio(audio_format='wav', 8 characters of base64)
    """

    __slots__ = ("audio_format", "data")

    def __init__(
        self,
        source: Any = None,
        /,
        *,
        data: Any = None,
        audio_format: str | None = None,
        array: Any = None,
        sampling_rate: int | None = None,
    ) -> None:
        given = [value for value in (source, data, array) if value is not None]
        if len(given) != 1:
            raise MediaError(f"an Audio is made of one thing: {_FORMS}; got {len(given)}")
        if array is not None or hasattr(given[0], "__array__"):
            if sampling_rate is None:
                raise MediaError("an Audio of an array needs its sampling_rate, in hertz")
            text, kind = _from_array(given[0], sampling_rate), "wav"
            if audio_format not in (None, "wav"):
                raise MediaError(f"an array becomes wav, not {audio_format!r}; leave audio_format out")
        else:
            text, kind = _parts_of(given[0], audio_format)
        self.data: Final[str] = text
        self.audio_format: Final[str] = kind

    @classmethod
    def from_path(cls, file_path: Any) -> Audio:
        """Return the recording in a file.

        Raises:
            MediaNotFoundError: There is no such file.
            MediaError: It is a directory, or neither its bytes nor its name say what it is.
        """
        data = read_path(file_path, "the audio")
        return cls(
            data, audio_format=_format_of(data, mime_of_name(str(file_path)), f"in {str(file_path)!r}")
        )

    from_file = from_path

    @classmethod
    def from_url(cls, url: str, verify: bool = True, timeout: float | None = 30.0) -> Audio:
        """Return the recording at an http or https address, downloaded now.

        Args:
            url: Where.
            verify: Check the server's certificate.
            timeout: Seconds without a byte before it is given up; None: no limit.

        Raises:
            MediaError: It cannot be fetched, or is no recording.

        Cost: no LM call; one request.
        """
        data, mime = download(url, "the audio", verify=verify, timeout=timeout)
        return cls(data, audio_format=_format_of(data, mime, f"at {shown(url)}"))

    @classmethod
    def from_array(cls, array: Any, sampling_rate: int, format: str = "wav") -> Audio:
        """Return samples as a recording.

        Args:
            array: Of shape (frames,) or (frames, channels): floats from -1 to 1, or whole numbers of 16 bits.
            sampling_rate: In hertz.
            format: "wav" is the one that needs no other package.
        """
        return cls(array=array, sampling_rate=sampling_rate, audio_format=format)

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the recording that a data URI or a dict stands for; anything else as it is."""
        return cls(value) if isinstance(value, (str, Mapping)) else value

    def to_parts(self) -> list[dict[str, Any]]:
        """Return one `input_audio` part."""
        return [{"type": "input_audio", "input_audio": {"data": self.data, "format": self.audio_format}}]

    format = to_parts

    def to_dict(self) -> dict[str, Any]:
        """Return the recording as plain data."""
        return {"data": self.data, "audio_format": self.audio_format}

    def __repr__(self) -> str:
        return f"Audio(audio_format={self.audio_format!r}, {len(self.data):,} characters of base64)"


def _parts_of(source: Any, audio_format: str | None) -> tuple[str, str]:
    """Return base64 text and format."""
    if isinstance(source, Audio):
        return source.data, source.audio_format
    given = as_mapping(source)
    if given is not None:
        made = Audio(**_known(given))
        return made.data, made.audio_format
    content = as_bytes(source)
    if content is not None:
        data = checked_size(content, "the audio")
        return load("base64").b64encode(data).decode("ascii"), _checked_format(data, audio_format)
    if not isinstance(source, str):
        raise MediaError(
            f"an Audio is made of {_FORMS}, not of {shown(source)} of type {type(source).__name__}"
        )
    if source[:5].lower() == "data:":
        mime, text = split_data_uri(source, "the audio")
        data = decoded(text, "the audio")
        if not mime.startswith("audio/"):
            raise MediaError(f"the audio is {shown(source)}: its media type {mime!r} is no recording's")
        return text, _checked_format(
            data, mime.removeprefix("audio/") if audio_format is None else audio_format
        )
    if audio_format is None:
        raise MediaError(
            f"{shown(source)} is no data URI, and base64 text needs audio_format; an Audio reads no files or servers "
            "by itself: Audio.from_path and Audio.from_url do"
        )
    return source, _checked_format(decoded(source, "the audio"), audio_format)


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(given) - {"data", "audio_format", "array", "sampling_rate"}
    if unknown:
        raise MediaError(f"an Audio has no {sorted(map(str, unknown))[0]!r}; it is made of {_FORMS}")
    return dict(given)


def _checked_format(data: bytes, told: str | None) -> str:
    if told is None:
        return _format_of(data, "", "given")
    if not told or not told.replace("-", "").replace(".", "").isalnum():
        raise MediaError(f"audio_format is {told!r}; it is a name such as 'wav' or 'mp3'")
    kind = _SAME.get(told.lower(), told.lower())
    found = kind_of(data)
    if found.startswith("audio/") and found != f"audio/{kind}" and {found, kind} != {"audio/webm", "weba"}:
        raise MediaError(f"the audio is said to be {kind!r}, and its bytes are {found}; correct the format")
    if found.startswith(("image/", "application/")):
        raise MediaError(f"the audio's bytes are {found}, which is no recording")
    return kind


def _format_of(data: bytes, mime: str, where: str) -> str:
    found = kind_of(data)
    mime = found if found else mime
    if not mime.startswith("audio/"):
        known = f"are {mime}" if mime else f"begin {data[:12]!r}, which is no format known here"
        raise MediaError(
            f"the bytes of the audio {where} {known}; say audio_format, or convert it to wav or mp3"
        )
    kind = mime.removeprefix("audio/")
    return _SAME.get(kind, kind)


def _from_array(array: Any, sampling_rate: int) -> str:
    """Return samples as the base64 text of a WAV file with 16 bits a sample."""
    if isinstance(sampling_rate, bool) or not isinstance(sampling_rate, int) or not 0 < sampling_rate < 2**31:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise MediaError(f"sampling_rate is {sampling_rate!r}; it is a whole number of hertz, such as 16000")
    np = require("numpy", extra="tiny", purpose="Audio of an array")
    samples = np.asarray(array)
    if samples.ndim not in (1, 2) or not samples.size or samples.dtype.kind not in "fiu":
        raise MediaError(
            f"the array has shape {samples.shape} and type {samples.dtype}; it must be (frames,) or (frames, channels) "
            "of numbers, with at least one"
        )
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all() or np.abs(samples).max() > 1:
            raise MediaError("the array's floats must be finite and from -1 to 1; divide by the loudest one")
        samples = np.rint(samples * _FULL_SCALE)
    elif samples.dtype != np.int16 and (samples.min() < -32768 or samples.max() > 32767):
        raise MediaError(
            f"the array's {samples.dtype} numbers exceed 16 bits; scale them, or give floats from -1 to 1"
        )
    frames = samples.astype("<i2")
    checked_size(b"\0" * min(frames.nbytes, 1 << 30), "the audio")
    buffer = load("io").BytesIO()
    with load("wave").open(buffer, "wb") as file:
        file.setnchannels(1 if frames.ndim == 1 else frames.shape[1])
        file.setsampwidth(2)
        file.setframerate(sampling_rate)
        file.writeframes(frames.tobytes())
    return load("base64").b64encode(checked_size(buffer.getvalue(), "the audio")).decode("ascii")
