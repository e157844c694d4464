import pytest

from dextr.labels import read_labels


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("person", ["person"]),
        ("person,dog", ["person", "dog"]),
        (" traffic light , dog,,dog ", ["traffic light", "dog"]),
    ],
)
def test_labels_in_words(text, labels):
    assert read_labels(text) == labels


@pytest.mark.parametrize("name", ["labels.txt", "labels"])
def test_labels_in_a_file_may_hold_commas(tmp_path, name):
    path = tmp_path / name
    path.write_bytes("\ufeffperson\r\n\r\n chair, broken \nMöbel\n".encode())
    assert read_labels(str(path)) == ["person", "chair, broken", "Möbel"]


def test_bad_labels_are_explained(tmp_path):
    with pytest.raises(ValueError, match="no labels in it"):
        read_labels(" , ")
    with pytest.raises(ValueError, match=r"missing\.txt: not a readable file of labels"):
        read_labels(str(tmp_path / "missing.txt"))
    (tmp_path / "latin.txt").write_bytes(b"M\xf6bel")
    with pytest.raises(ValueError, match=r"latin\.txt: not a readable file"):
        read_labels(str(tmp_path / "latin.txt"))
