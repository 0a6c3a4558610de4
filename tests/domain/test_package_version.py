from datetime import UTC, datetime

import pytest

from berth.domain.package_version import PackageVersion, check_version_deletion
from berth.domain.problem import Invalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def version(*tags: str) -> PackageVersion:
    return PackageVersion(id=1, digest="sha256:0", tags=tags, created_at=NOW, updated_at=NOW, deleted_at=None)


def test_the_last_version_with_a_tag_stays() -> None:
    with pytest.raises(Invalid) as raised:
        check_version_deletion(version("1", "latest"), others_are_tagged=False)
    assert raised.value.code == "package.last_tagged"
    assert raised.value.message == (
        "You cannot delete the last tagged version of a package. You must delete the package instead."
    )


@pytest.mark.parametrize(("tags", "others"), [((), False), ((), True), (("1",), True)])
def test_every_other_one_may_go(tags: tuple[str, ...], others: bool) -> None:
    check_version_deletion(version(*tags), others_are_tagged=others)
