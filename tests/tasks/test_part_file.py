"""A file of work already done: cut anywhere, read in any order, begun anew or refused."""

import json
import random
from pathlib import Path

import pytest

from puna.errors import InputError
from puna.tasks.part_file import PartFile


def taken(part: PartFile) -> list[tuple[int, int]]:
    return list(part.take(lambda line, offset: (json.loads(line)["n"], offset)))


def test_lines_stand_where_it_says(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "out", "x")
    lines = [json.dumps({"n": n, "text": "\u2028 山" * n}, ensure_ascii=False).encode() for n in range(20)]
    for line in lines:
        part.append(line)
    again = PartFile(tmp_path / "out", "x")
    found = taken(again)
    assert [n for n, _ in found] == list(range(20))
    mixed = random.Random(3).sample(found, 20)
    assert list(again.at(offset for _, offset in mixed)) == [lines[n] for n, _ in mixed]
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_anywhere_goes_on(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "out", "x", keep_others=True)
    for n in range(4):
        part.append(json.dumps({"n": n}).encode())
    whole = part.path.read_bytes()
    for cut in range(len(whole) + 1):
        part.path.write_bytes(whole[:cut])
        again = PartFile(tmp_path / "out", "x", keep_others=True)
        found = [n for n, _ in taken(again)]
        assert found == list(range(max(whole[:cut].count(b"\n") - 1, 0)))
        for n in range(len(found), 4):
            again.append(json.dumps({"n": n}).encode())
        assert part.path.read_bytes() == whole


def test_what_stands_behind_a_damaged_line_does_not_count(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "out", "x")
    for line in (b'{"n": 1}', b"\0\0\0", b'{"n": 2}'):
        part.append(line)
    assert [n for n, _ in taken(part)] == [1]
    part.append(b'{"n": 3}')
    assert [n for n, _ in taken(part)] == [1, 3]


@pytest.mark.parametrize("before", [None, b"", b"my notes\n", b'{"for": "1"}\n'])
def test_a_file_for_something_else(before: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "out.part"
    if before is None:
        PartFile(tmp_path / "out", "y").append(b"{}")
    else:
        path.write_bytes(before)
    content = path.read_bytes()
    if content:
        with pytest.raises(InputError) as caught:
            PartFile(tmp_path / "out", "x", keep_others=True)
        assert caught.value.code == "E-PART-OTHER"
    assert path.read_bytes() == content
    PartFile(tmp_path / "out", "x").append(b'{"n": 5}')
    assert [n for n, _ in taken(PartFile(tmp_path / "out", "x", keep_others=True))] == [5]
