import json
import os
import threading

import pytest

from telic.errors import JournalError
from telic.journal._lines import LinesFile, decode, encode, scan
from telic.journal._lock import RunLock


def read(path):
    found = []
    end = scan(path, lambda place, record: found.append(record))
    return found, end


def written(path, *records):
    file = LinesFile(path)
    places = [file.append(record) for record in records]
    file.close()
    return places


def test_what_is_appended_is_read_in_order(tmp_path):
    path = tmp_path / "a.jsonl"
    records = [{"n": n, "text": 'ü\n\u2028 "quoted"'} for n in range(20)]

    written(path, *records)

    assert read(path) == (records, path.stat().st_size)
    assert [json.loads(line)["n"] for line in path.read_text(encoding="utf-8").split("\n") if line] == list(
        range(20)
    )


@pytest.mark.parametrize(
    "value", [1 << 80, "lone \ud800", "NUL \x00", "", None, [[]], -0.0, 1e308, {"": {"": ""}}]
)
def test_odd_values_come_back(tmp_path, value):
    written(tmp_path / "a", {"v": value})

    assert read(tmp_path / "a")[0] == [{"v": value}]


def test_a_line_torn_at_any_byte_is_cut_off_and_written_over(tmp_path):
    whole = encode({"n": 1}) + encode({"n": 2, "text": "é" * 5})
    first = len(encode({"n": 1}))
    for cut in range(first, len(whole)):
        path = tmp_path / f"{cut}"
        path.write_bytes(whole[:cut])
        found, end = read(path)
        assert (found, end) == ([{"n": 1}], first)
        file = LinesFile(path, end)
        file.append({"n": 3})
        file.close()
        assert read(path)[0] == [{"n": 1}, {"n": 3}]


def test_an_end_of_garbage_is_cut_off(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(encode({"n": 1}) + b"\0" * 4096 + b"\n\n{}\nnot json")

    assert read(path) == ([{"n": 1}], len(encode({"n": 1})))


@pytest.mark.parametrize("place", [5, 12, 20])
def test_an_altered_line_in_the_middle_is_named(tmp_path, place):
    path = tmp_path / "a.jsonl"
    written(path, {"n": 1}, {"n": 2}, {"n": 3})
    data = bytearray(path.read_bytes())
    data[len(encode({"n": 1})) + place - 1] ^= 1
    path.write_bytes(data)

    with pytest.raises(JournalError, match=r"line 2 of .*a\.jsonl.*damaged.*another run_dir") as caught:
        read(path)

    assert caught.value.folder == str(tmp_path)


def test_a_missing_file_is_empty(tmp_path):
    assert read(tmp_path / "none") == ([], 0)


def test_records_are_read_back_by_their_places(tmp_path):
    file = LinesFile(tmp_path / "a")
    places = [file.append({"n": n}) for n in range(50)]
    assert [file.read(place)["n"] for place in reversed(places)] == list(range(49, -1, -1))
    file.append({"n": 50})
    file.close()
    assert len(read(tmp_path / "a")[0]) == 51


def test_many_threads_write_whole_lines(tmp_path):
    file = LinesFile(tmp_path / "a")

    def write(start):
        for n in range(200):
            place = file.append({"n": start + n, "pad": "x" * (n % 50)})
            assert file.read(place)["n"] == start + n

    threads = [threading.Thread(target=write, args=(1000 * k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()

    assert sorted(r["n"] for r in read(tmp_path / "a")[0]) == sorted(
        1000 * k + n for k in range(8) for n in range(200)
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path):
    file = LinesFile(tmp_path / "a")
    file.append({"n": 1})
    full = os.open("/dev/full", os.O_WRONLY)
    kept = os.dup(file._fd)
    os.dup2(full, file._fd)
    try:
        with pytest.raises(JournalError, match="No space left.*make room"):
            file.append({"n": 2})
    finally:
        os.dup2(kept, file._fd)
        os.close(kept)
        os.close(full)
        file.close()
    assert read(tmp_path / "a")[0] == [{"n": 1}]


def test_a_folder_in_the_way_is_an_error(tmp_path):
    (tmp_path / "a").mkdir()

    with pytest.raises(JournalError, match="cannot be opened for writing"):
        LinesFile(tmp_path / "a")


def test_a_closed_file_takes_and_gives_nothing(tmp_path):
    file = LinesFile(tmp_path / "a")
    place = file.append({"n": 1})
    file.close()
    file.close()

    with pytest.raises(JournalError, match="closed"):
        file.append({})
    with pytest.raises(JournalError, match="closed"):
        file.read(place)


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{}", b'{"a":1}', b'{"a":1,"crc":"00000000"}', b"[1]", b'"crc":"']
)
def test_lines_of_others_are_none_of_ours(line):
    assert decode(line) is None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_without_room_for_the_lock_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "lock").symlink_to("/dev/full")
    with pytest.raises(JournalError, match="cannot be written to: .*choose another run_dir"):
        RunLock(tmp_path)
