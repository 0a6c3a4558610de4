"""What the first push makes of a package: who owns it, how visible it is, which repository it is linked to (A2, A8, A9, A11)."""

from collections.abc import Callable

import pytest
from tests.oci.images import Image, artifact, fresh, image, index
from tests.oci.registry_api import HOST, OCIClient, Registry, outcome

from berth.adapters.store import package as package_rows
from berth.domain.image_reference import Digest
from berth.domain.package import PackagePolicy
from berth.domain.repository import Visibility

pytestmark = pytest.mark.asyncio(loop_scope="module")
SOURCE = "org.opencontainers.image.source"


def labelled(repository: str) -> Image:
    return image(labels={SOURCE: f"http://{HOST}/{repository}"})


def annotated(repository: str) -> Image:
    return image(annotations={SOURCE: f"http://{HOST}/{repository}.git"})


async def push(client: OCIClient, name: str, one: Image) -> list[str]:
    """The warnings of the push."""
    for blob in one.blobs:
        await client.push_blob(name, blob)
    answer = await client.put_manifest(name, "latest", one.content, one.media_type)
    assert answer.status_code == 201, answer.text
    return list(answer.headers.get_list("Warning"))


async def test_a9_a_persons_package_is_private_and_inherits_nothing(
    each_registry: Registry, each_octo: OCIClient, name: str
) -> None:
    warnings = await push(each_octo, name, image())
    made = await each_registry.package(name)
    assert (made.visibility, made.inherits_access, made.repository_id) == (Visibility.PRIVATE, False, None)
    assert made.published_at is not None
    assert any("linked to no repository" in warning for warning in warnings)


@pytest.mark.parametrize("make", [labelled, annotated])
async def test_a9_it_is_linked_to_the_repository_that_it_names(
    each_registry: Registry, each_octo: OCIClient, name: str, make: Callable[[str], Image]
) -> None:
    repository_id = await each_registry.repository("octo", "octo/code")
    assert await push(each_octo, name, make("octo/code")) == []
    made = await each_registry.package(name)
    assert (made.repository_id, made.inherits_access, made.visibility) == (repository_id, False, Visibility.PRIVATE)
    assert [detail for action, _, detail in await each_registry.audit(name) if action == "package.publish"] == [
        "linked"
    ]


ROLES = {"pull": False, "triage": False, "push": True, "maintain": True, "admin": True}


@pytest.mark.parametrize("permission", ROLES)
async def test_a9_naming_is_not_enough_one_must_be_allowed_to_write(
    registry: Registry, octo: OCIClient, name: str, permission: str
) -> None:
    otto, full_name = await registry.person("otto"), f"otto/{name.rpartition('/')[2]}"
    repository_id = await registry.repository("otto", full_name)
    path = f"/repos/{full_name}/collaborators/octo"
    put = await registry.rest["otto"].put(path, json={"permission": permission})
    assert put.status_code < 300, put.text
    assert len(await push(octo, name, labelled(full_name))) == (0 if ROLES[permission] else 1)
    assert (await registry.package(name)).repository_id == (repository_id if ROLES[permission] else None)
    await push(otto, f"{full_name}/image", labelled(full_name))
    assert (await registry.package(f"{full_name}/image")).repository_id == repository_id, "he may, it is his"


# What a label may say, and whether it is octo/code's address.
SOURCES = {
    "the address": ("http://berth.test/octo/code", True),
    "as it is cloned": ("https://berth.test/octo/code.git", True),
    "in capitals, with a slash": ("http://BERTH.TEST/Octo/CODE/", True),
    "hidden": ("http://berth.test/otto/secret", False),
    "public": ("http://berth.test/otto/open", False),
    "missing": ("http://berth.test/otto/missing", False),
    "nobody's": ("http://berth.test/nobody/nothing", False),
    "another host": ("http://berth.test.example/octo/code", False),
    "a host before the host": ("http://berth.test@example.com/octo/code", False),
    "a password": ("http://octo:secret@berth.test/octo/code", False),
    "another port": ("http://berth.test:8443/octo/code", False),
    "another scheme": ("ssh://berth.test/octo/code", False),
    "no scheme": ("berth.test/octo/code", False),
    "a path too deep": ("http://berth.test/octo/code/tree/main", False),
    "a path that climbs": ("http://berth.test/otto/../octo/code", False),
    "an escaped slash": ("http://berth.test/octo%2Fcode", False),
    "a query": ("http://berth.test/octo/code?x", False),
    "a line break": ("http://berth.test/octo/code\r\nWarning: x", False),
    "a NUL": ("http://berth.test/octo/code\0", False),
    "not a letter": ("http://berth.test/octo/cöde", False),
    "half of a letter": ("http://berth.test/octo/\ud800", False),
    "nothing": ("", False),
    "endless": ("http://berth.test/octo/" + "a" * 100_000, False),
    "a number": (7, False),
    "a list": (["http://berth.test/octo/code"], False),
}
NO_ANNOTATIONS = {"a NUL", "half of a letter", "a number", "a list"}  # by the specification, and in a database


@pytest.mark.parametrize("how", ["label", "annotation"])
async def test_a9_a_claim_that_is_not_good_is_no_error_and_tells_nothing(
    registry: Registry, octo: OCIClient, name: str, how: str
) -> None:
    """Each answer is the same to the last header: whether such a repository is there cannot be read from it."""
    repository_id = await registry.repository("octo", "octo/code")
    await registry.person("otto")
    await registry.repository("otto", "otto/secret")
    await registry.repository("otto", "otto/open", "public")
    answers = set()
    for number, (case, (source, is_ours)) in enumerate(SOURCES.items()):
        where, claim = f"{name}/{number:02}", {SOURCE: source}
        one = image(labels=claim) if how == "label" else image(annotations=claim)
        for blob in one.blobs:
            await octo.push_blob(where, blob)
        answer = await octo.put_manifest(where, "latest", one.content, one.media_type)
        if how == "annotation" and case in NO_ANNOTATIONS:
            assert outcome(answer) == (400, "MANIFEST_INVALID")
            continue
        assert answer.status_code == 201, answer.text
        made = await registry.package(where)
        assert (made.repository_id, made.inherits_access) == (repository_id if is_ours else None, False), source
        published = ("package.publish", "octo", "linked" if is_ours else "")
        assert await registry.audit(where) == [
            ("package.create", "octo", "private package.create.namespace"), published,
        ]  # fmt: skip
        if not is_ours:
            said = str((sorted(answer.headers.multi_items()), answer.content))
            answers.add(said.replace(str(one.digest), "DIGEST").replace(where, "NAME"))
    assert len(answers) == 1
    assert "linked to no repository" in answers.pop()


async def test_a9_an_annotation_comes_before_a_label(registry: Registry, octo: OCIClient, name: str) -> None:
    """Also one that names nothing: who annotates knows of the label."""
    ids = {each: await registry.repository("octo", f"octo/{each}") for each in ("code", "other")}
    address = f"http://{HOST}/octo/"
    both = image(labels={SOURCE: f"{address}code"}, annotations={SOURCE: f"{address}other"})
    await push(octo, f"{name}/both", both)
    assert (await registry.package(f"{name}/both")).repository_id == ids["other"]
    await push(octo, f"{name}/none", image(labels={SOURCE: f"{address}code"}, annotations={SOURCE: ""}))
    assert (await registry.package(f"{name}/none")).repository_id is None


async def test_a9_only_the_first_publication_links(registry: Registry, octo: OCIClient, name: str) -> None:
    """Later on the link is a setting: an image pushed to somebody's package moves nothing."""
    await registry.repository("octo", "octo/code")
    await push(octo, name, image())
    assert await push(octo, name, labelled("octo/code")) == []
    assert (await registry.package(name)).repository_id is None


async def test_a9_a_label_moves_no_package_that_a_job_made(registry: Registry, name: str) -> None:
    """Who may write to a repository may push to its packages before anything is published there: not take them with him."""
    where = await organization_of(registry, name)
    code, own = await registry.repository("octo", f"{where}/code"), await registry.repository("octo", f"{where}/own")
    for repository, permission in (("code", "push"), ("own", "admin")):
        path = f"/repos/{where}/{repository}/collaborators/mia"
        put = await registry.rest["octo"].put(path, json={"permission": permission})
        assert put.status_code < 300, put.text
    job, mia = await registry.workflow("octo", f"{where}/code"), await registry.person("mia")
    await job.push_blob(f"{where}/app", fresh())
    one = labelled(f"{where}/own")
    assert await push(mia, f"{where}/app", one) == []
    made = await registry.package(f"{where}/app")
    assert (made.repository_id, made.inherits_access) == (code, True)
    assert made.repository_id != own
    refused = await mia.delete(f"/v2/{where}/app/manifests/{one.digest}")
    assert outcome(refused) == (403, "DENIED"), "she has no more than the role write"
    assert ("package.publish", "mia", "") in await registry.audit(f"{where}/app")


async def organization_of(registry: Registry, name: str) -> str:
    """A new one of octo's, with the member mia."""
    login = name.partition("/")[2]
    await registry.person("octo")
    await registry.organization(login, "octo", "mia")
    return login


async def test_what_is_published_first_may_be_no_image(registry: Registry, octo: OCIClient, name: str) -> None:
    repository_id = await registry.repository("octo", "octo/code")
    source = {SOURCE: f"http://{HOST}/octo/code"}
    await push(octo, f"{name}/index", index([], annotations=source))
    await push(octo, f"{name}/artifact", artifact("application/vnd.example.v1", annotations=source))
    await push(octo, f"{name}/odd", image(config=b"oh no"))
    assert (await registry.package(f"{name}/index")).repository_id == repository_id
    assert (await registry.package(f"{name}/artifact")).repository_id == repository_id
    assert (await registry.package(f"{name}/odd")).repository_id is None


async def test_a_large_configuration_is_not_read_for_its_labels(registry: Registry, octo: OCIClient, name: str) -> None:
    await registry.repository("octo", "octo/code")
    one = image(config=fresh(4 * 1024 * 1024 + 1))
    lies = one.content.replace(b'"size": 4194305', b'"size": 100')
    await push(octo, name, one)
    for number, content in enumerate((one.content, lies)):
        where = f"{name}/{number}"
        for blob in one.blobs:
            await octo.push_blob(where, blob)
        assert (await octo.put_manifest(where, "latest", content, one.media_type)).status_code == 201


@pytest.mark.parametrize("visibility", ["private", "public", "internal"])
async def test_a8_a_jobs_package_is_as_its_repository(each_registry: Registry, name: str, visibility: str) -> None:
    await each_registry.person("octo")
    if "acme" not in each_registry.rest:
        await each_registry.organization("acme", "octo")
        each_registry.rest["acme"] = each_registry.rest["octo"]
    repository_id = await each_registry.repository("octo", f"acme/{visibility}", visibility)
    job = await each_registry.workflow("octo", f"acme/{visibility}")
    where = f"acme/{visibility}-{name.partition('/')[2]}"
    await push(job, where, labelled("acme/other"))
    made = await each_registry.package(where)
    assert (made.visibility, made.repository_id, made.inherits_access) == (visibility, repository_id, True)


async def test_a11_an_organization_decides_what_its_members_make(registry: Registry, name: str) -> None:
    octo = await registry.person("octo")
    await registry.organization("strict", "octo", "mia")
    mia = await registry.person("mia")
    await registry.repository("octo", "strict/open", "public")
    await registry.repository("octo", "strict/shut", "private")
    open_job, shut_job = await registry.workflow("octo", "strict/open"), await registry.workflow("octo", "strict/shut")
    policy = PackagePolicy(creatable_visibilities=frozenset({Visibility.PUBLIC}), inherit_access_default=False)
    async with registry.store.begin() as connection:
        await package_rows.set_policy(connection, await registry.account_id("strict"), policy)
    refused = await mia.post("/v2/strict/hers/blobs/uploads/")
    assert outcome(refused) == (403, "DENIED")
    assert "does not let members create private packages" in refused.text
    assert outcome(await shut_job.post("/v2/strict/its/blobs/uploads/")) == (403, "DENIED")
    digest, one = Digest.of(b"x"), image()
    await mia.log_in("repository:strict/hers:pull,push")
    for method, path, content in (
        ("POST", f"/v2/strict/hers/blobs/uploads/?digest={digest}", b"x"),
        ("POST", f"/v2/strict/hers/blobs/uploads/?mount={digest}", b""),
        ("PUT", "/v2/strict/hers/manifests/1", one.content),
    ):
        assert outcome(await mia.once(method, path, content=content)) == (403, "DENIED"), path
    assert await registry.audit("strict/hers") == []
    await push(open_job, "strict/its", image())
    assert not (await registry.package("strict/its")).inherits_access
    await push(octo, "strict/owners", image())


async def test_a2_who_publishes_first_in_an_organization_is_admin(registry: Registry, name: str) -> None:
    await registry.person("octo")
    await registry.organization("team", "octo", "mia")
    mia = await registry.person("mia")
    one = image()
    await push(mia, "team/hers", one)
    assert (await mia.delete(f"/v2/team/hers/manifests/{one.digest}")).status_code == 202
