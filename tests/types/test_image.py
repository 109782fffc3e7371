import base64
import copy
import io
import json
from pathlib import Path

import pydantic
import pytest

import telic
from telic.errors import MediaError, MediaNotFoundError
from telic.testing import FaultServer
from telic.types import FieldValue, Image
from telic.types._media import MAX_BYTES

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>'


class FakePIL:
    """What is asked of a PIL image."""

    mode = "RGB"

    def __init__(self, format=None, data=PNG):
        self.format = format
        self._data = data

    def save(self, buffer, format):
        if self._data is None:
            raise OSError(f"cannot write mode F as {format}")
        self.saved_as = format
        buffer.write(self._data)


@pytest.mark.parametrize(
    "source",
    [PNG, bytearray(PNG), memoryview(PNG), URI, {"url": URI}, {"url": PNG}, Image(PNG), FakePIL()],
    ids=["bytes", "bytearray", "memoryview", "data uri", "dict", "dict of bytes", "image", "pil"],
)
def test_equal_pictures_are_equal_whatever_they_were_made_of(source):
    image = Image(source)

    assert image.url == URI
    assert image == Image(url=URI)
    assert hash(image) == hash(Image(PNG))


@pytest.mark.parametrize(
    "url", ["https://x/y.png", "http://x", "HTTPS://X/Y", "gs://bucket/y.png", "s3://b/y"]
)
def test_an_address_is_kept_and_not_asked(url):
    assert Image(url).url == url
    assert Image(url=url).format() == [{"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0rest", "jpeg"),
        (b"GIF89a....", "gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"BM......", "bmp"),
        (b"II*\0....", "tiff"),
        (b"\0\0\0\x1cftypavif....", "avif"),
        (b"\0\0\0\x1cftypheic....", "heic"),
    ],
)
def test_the_bytes_say_what_they_are(data, mime):
    assert Image(data).url.startswith(f"data:image/{mime};base64,")


@pytest.mark.parametrize(
    ("source", "fact"),
    [
        ("/etc/passwd", "reads no files by itself: Image.from_path"),
        ("cat.png", "neither an address nor a data URI"),
        ("", "neither an address"),
        ("file:///etc/passwd", "neither an address"),
        ("javascript:alert(1)", "neither an address"),
        ("https://x/a b.png", "holds blanks"),
        ("https://x/a\nb", "holds blanks"),
        (b"", "0 bytes"),
        (b"hello world, no picture", "no picture known here"),
        (b"%PDF-1.7 ...", "are application/pdf"),
        (b"RIFF\0\0\0\0WAVEfmt ", "are audio/wav"),
        (SVG, "SVG drawing"),
        (b"  <svg></svg>", "SVG drawing"),
        ("data:image/svg+xml;base64," + base64.b64encode(SVG).decode(), "SVG drawing"),
        ("data:image/png;base64," + base64.b64encode(SVG).decode(), "SVG drawing"),
        (
            "data:image/jpeg;base64," + base64.b64encode(PNG).decode(),
            "says that it is image/jpeg, and its bytes are",
        ),
        ("data:text/plain;base64,aGk=", "media type 'text/plain' is no picture's"),
        ("data:image/png,notbase64", "without ;base64"),
        ("data:image/png;base64,", "0 bytes"),
        ("data:image/png;base64,@@@@", "broken base64"),
        ("data:image/png;base64,ä", "broken base64"),
        ("data:;;,", "no data URI"),
        ({"url": "https://x", "detail": "low"}, "is made of"),
        ({}, "is made of"),
        (42, "not of 42 of type int"),
        ([PNG], "is made of"),
        (None, "made of one thing"),
        (FakePIL(data=None), "cannot be written as PNG"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_fact(source, fact):
    with pytest.raises(MediaError) as caught:
        Image(source)

    assert fact in str(caught.value)
    assert len(str(caught.value)) < 500
    assert isinstance(caught.value, ValueError)


def test_thirty_megabytes_are_refused_with_both_sizes():
    for source in (PNG + bytes(30_000_000), "data:image/png;base64," + "A" * 40_000_000):
        with pytest.raises(MediaError, match=r"30,000,\d+ bytes, and 20,000,000 is the most"):
            Image(source)


def test_twenty_megabytes_are_taken():
    image = Image(PNG + bytes(MAX_BYTES - len(PNG)))

    assert len(repr(image)) < 100


def test_two_sources_are_refused():
    with pytest.raises(MediaError, match="made of one thing"):
        Image(PNG, url=URI)


@pytest.mark.parametrize("option", [{"download": True}, {"verify": True}])
def test_a_constructor_asks_no_server(option):
    with pytest.raises(MediaError, match="Image.from_url"):
        Image("https://x", **option)
    assert Image("https://x", download=False).url == "https://x"


def test_a_jpeg_of_pil_stays_one():
    picture = FakePIL("JPEG", b"\xff\xd8\xff\xe0rest")

    assert Image.from_PIL(picture).url.startswith("data:image/jpeg;base64,")
    assert picture.saved_as == "JPEG"


def test_a_real_pil_image_is_taken():
    pillow = pytest.importorskip("PIL.Image")

    image = Image(pillow.new("RGB", (2, 2), "red"))

    assert pillow.open(io.BytesIO(base64.b64decode(image.url.partition(",")[2]))).size == (2, 2)


# Files


@pytest.mark.parametrize("make", [Image.from_path, Image.from_file])
def test_a_file_is_read_when_asked(make, tmp_path):
    path = tmp_path / "picture.whatever"
    path.write_bytes(PNG)

    assert make(path) == make(str(path)) == Image(PNG)


def test_what_stands_in_the_way_of_a_file_is_named(tmp_path):
    empty, text, big = tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "big.png"
    empty.touch()
    text.write_text("hello")
    with big.open("wb") as file:
        file.truncate(30_000_000)

    with pytest.raises(MediaNotFoundError, match=r"no file '.*none\.png'") as missing:
        Image.from_path(tmp_path / "none.png")
    assert isinstance(missing.value, FileNotFoundError)
    for path, fact in [
        (tmp_path, "is a directory"),
        (empty, "0 bytes"),
        (text, "no picture known here"),
        (big, "30,000,000 bytes"),
        ("a\0b", "cannot be read"),
        (None, "cannot be read"),
    ]:
        with pytest.raises(MediaError, match=fact):
            Image.from_path(path)


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(PNG)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        with pytest.raises(MediaError, match="cannot be read"):
            Image.from_path(path)
    else:
        pytest.skip("this user may read everything")


# Servers


@pytest.fixture
def pictures(tmp_path):
    """A real server of what lies in a folder."""
    import functools
    import http.server
    import threading

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            if self.path == "/to-file":
                self.send_response(302)
                self.send_header("Location", "file:///etc/passwd")
                self.end_headers()
            elif self.path == "/cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(PNG[:10])
            elif self.path == "/endless":
                self.send_response(200)
                self.end_headers()
                try:
                    for _ in range(1000):
                        self.wfile.write(b"\x89PNG\r\n\x1a\n" + bytes(99_992))
                except OSError:
                    pass
            else:
                super().do_GET()

    (tmp_path / "cat.png").write_bytes(PNG)
    (tmp_path / "page.png").write_text("<html>not here</html>")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_picture_is_downloaded_when_asked(pictures):
    assert Image.from_url(f"{pictures}/cat.png") == Image(PNG)
    assert Image.from_url(f"{pictures}/cat.png", verify=False, timeout=None) == Image(PNG)


@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("/none.png", "404"),
        ("/page.png", "no picture known here"),
        ("/to-file", "Redirection"),
        ("/cut", "990 bytes are missing"),
        ("/endless", "20,000,000 is the most"),
    ],
)
def test_what_a_server_sends_instead_is_named(pictures, path, fact):
    with pytest.raises(MediaError, match=fact):
        Image.from_url(pictures + path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "/etc/passwd", "", None, URI])
def test_only_web_addresses_are_downloaded(url):
    with pytest.raises(MediaError, match="only http:// and https://"):
        Image.from_url(url)


def test_a_server_that_is_not_there_is_named():
    with FaultServer("x") as server:
        url = server.url
    with pytest.raises(MediaError, match="cannot be downloaded"):
        Image.from_url(f"{url}/x.png", timeout=5)


# As a value


def test_a_repr_never_shows_megabytes():
    image = Image(PNG + bytes(5_000_000))

    for text in (repr(image), str(image), repr([image]), repr({"a": image}), f"{image}"):
        assert len(text) < 200
    assert len(repr(Image("https://x/" + "y" * 5000))) < 400


def test_copies_are_the_same_object():
    image = Image(PNG)

    assert copy.deepcopy(image) is image
    assert copy.copy(image) is image


def test_a_picture_never_changes():
    assert isinstance(Image(PNG), FieldValue)
    with pytest.raises(AttributeError):
        Image(PNG).other = 1


def test_a_model_holds_pictures_and_dumps_them_as_plain_data():
    class Card(pydantic.BaseModel):
        face: telic.Image
        more: list[telic.Image] = []

    card = Card(face=PNG, more=["https://x/y", {"url": URI}, Image(PNG)])

    assert card.face == Image(PNG)
    assert card.model_dump(mode="json") == {
        "face": {"url": URI},
        "more": [{"url": "https://x/y"}, *[{"url": URI}] * 2],
    }
    assert card.model_dump()["face"] is card.face
    assert Card.model_validate_json(card.model_dump_json()) == card
    assert json.loads(json.dumps(Card.model_json_schema()))
    with pytest.raises(pydantic.ValidationError, match="neither an address"):
        Card(face="/etc/passwd")
    with pytest.raises(pydantic.ValidationError):
        Card(face=3)


def test_an_lm_may_answer_with_an_address():
    assert Image.from_text(" https://x/y.png\n") == Image("https://x/y.png")


def test_no_file_of_this_machine_is_read_by_a_string(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cat.png").write_bytes(PNG)

    for name in ("cat.png", "./cat.png", str(tmp_path / "cat.png")):
        with pytest.raises(MediaError):
            Image(name)
