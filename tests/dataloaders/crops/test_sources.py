import pytest
from support.trees import make_coco, make_davis, make_folder, make_sbd, make_voc

from dataloaders.crops.sources import SourceConfig, open_sources, split_by_image
from dataloaders.shapes import ShapesInstances


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))


def image_ids(instances):
    return {instances.image_id(row) for row in range(len(instances))}


def test_no_source_is_an_error():
    with pytest.raises(ValueError, match="--voc-root or --shapes"):
        open_sources(SourceConfig(), 0)


def test_pascal_with_sbd_leaves_out_pascals_validation_images(tmp_path):
    make_voc(tmp_path, train=("a", "b"), val=("c", "d"))
    make_sbd(tmp_path, train=("a", "c"), val=("d", "e"))
    config = SourceConfig(
        voc_root=str(tmp_path / "VOCdevkit"), sbd_root=str(tmp_path / "benchmark_RELEASE")
    )
    training, validation = open_sources(config, 0)
    assert image_ids(training) == {"a", "b", "e"}
    assert validation is not None
    assert image_ids(validation) == {"c", "d"}


def test_all_sources_together(tmp_path):
    roots = {name: tmp_path / name for name in ("coco", "one", "two", "davis")}
    make_coco(roots["coco"])
    make_folder(roots["one"])
    make_folder(roots["two"], seed=8)
    make_davis(roots["davis"])
    config = SourceConfig(
        coco_root=(str(roots["coco"]),),
        folder=(str(roots["one"]), str(roots["two"])),
        davis_root=str(roots["davis"]),
        shapes=5,
    )
    training, validation = open_sources(config, 0)
    alone = [
        open_sources(SourceConfig(**one), 0)[0]
        for one in (
            {"coco_root": config.coco_root},
            {"folder": config.folder[:1]},
            {"folder": config.folder[1:]},
            {"davis_root": config.davis_root},
            {"shapes": 5},
        )
    ]
    assert len(training) == sum(map(len, alone))
    assert validation is None


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.7])
def test_the_share_kept_out_shares_no_image(fraction):
    shapes = ShapesInstances(40)
    rest, kept_out = split_by_image(shapes, fraction, seed=1)
    assert not image_ids(rest) & image_ids(kept_out)
    assert len(rest) + len(kept_out) == 40
    images = len(image_ids(shapes))
    assert len(image_ids(kept_out)) == max(1, round(fraction * images))
    again = split_by_image(shapes, fraction, seed=1)[1]
    assert image_ids(again) == image_ids(kept_out)


def test_a_share_of_everything_is_refused():
    with pytest.raises(ValueError, match="cannot keep"):
        split_by_image(ShapesInstances(2), 0.9, seed=0)
