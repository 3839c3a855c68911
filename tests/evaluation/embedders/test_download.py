"""A download is whole and the published file, or it is not there."""

from hashlib import sha256

import pytest

from fileserver import serving
from latentfoley.errors import ModelError
from latentfoley.evaluation.embedders.download import download

CONTENT = bytes(range(256)) * 9000  # more than two blocks
DIGEST = sha256(CONTENT).hexdigest()


@pytest.fixture
def site():
    with serving(CONTENT) as site:
        yield site


def test_what_arrives_is_the_file_and_nothing_else_is_left(site, tmp_path):
    seen = []
    target = tmp_path / "a" / "w.pth"
    download(site.url, target, DIGEST, lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


@pytest.mark.parametrize("ranges", [True, False])
def test_one_that_was_cut_off_goes_on_or_begins_anew(site, tmp_path, ranges):
    site.cut = 1_500_000
    with pytest.raises(ModelError, match=r"cut off after 1,500,000 of 2,304,000 bytes.*resumes"):
        download(site.url, tmp_path / "w.pth", DIGEST)
    assert not (tmp_path / "w.pth").exists()
    site.cut, site.ranges = 0, ranges
    download(site.url, tmp_path / "w.pth", DIGEST)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert site.asked == [None, "bytes=1500000-"]


def test_one_that_was_killed_before_its_last_step_goes_on(site, tmp_path):
    (tmp_path / ".w.pth.part").write_bytes(CONTENT)
    download(site.url, tmp_path / "w.pth", DIGEST)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_another_file_is_refused_and_removed(site, tmp_path):
    site.content = CONTENT[:-1] + b"?"
    with pytest.raises(ModelError, match=f"not the published file.*expected {DIGEST}"):
        download(site.url, tmp_path / "w.pth", DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_without_network_it_says_where_to_put_the_file(tmp_path):
    with serving(b"") as gone:
        url = gone.url
    with pytest.raises(ModelError, match=r"could not be fetched.*Without network, put the file at"):
        download(url, tmp_path / "w.pth", DIGEST)


def test_a_server_that_has_no_such_file(site, tmp_path):
    (tmp_path / ".w.pth.part").write_bytes(b"x")
    site.content = b""  # answers 416 to any range: what is there is compared, and refused
    with pytest.raises(ModelError, match="not the published file"):
        download(site.url, tmp_path / "w.pth", DIGEST)
