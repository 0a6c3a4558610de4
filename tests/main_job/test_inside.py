"""The built-in registry from inside a codespace, over the container's own network, with what is found there (L7, L9)."""

from pathlib import Path

import pytest
from tests.own_registry import (
    Skopeo,
    docker_config,
    launch_well,
    make_organization,
    make_repository,
    own_host,
    publish,
    run_inside,
)
from tests.world import World

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


# As little as a client needs; busybox's wget shows no body of an error, so the push speaks HTTP itself.
LOGIN = """
host=${GITHUB_SERVER_URL#http://}
name=$(echo $GITHUB_REPOSITORY | cut -d/ -f1)/dev
auth=$(grep -A1 "\\"$host\\"" ~/.docker/config.json | sed -n 's/.*"auth": "\\(.*\\)".*/\\1/p')
token() {
  busybox wget -q -O - --header "Authorization: Basic $auth" "http://$host/token?service=$host&scope=repository:$name:$1" |
    sed -n 's/.*"token":"\\([^"]*\\)".*/\\1/p'
}
"""
PULL = """
busybox wget -q -O /tmp/manifest --header "Authorization: Bearer $(token pull)" \\
  --header "Accept: application/vnd.docker.distribution.manifest.v2+json" "http://$host/v2/$name/manifests/1"
layer=$(grep -o 'sha256:[0-9a-f]*' /tmp/manifest | tail -n 1)
busybox wget -q -O /tmp/layer --header "Authorization: Bearer $(token pull)" "http://$host/v2/$name/blobs/$layer"
echo "sha256:$(busybox sha256sum /tmp/layer | cut -d' ' -f1)" = "$layer"
"""
PUSH = """
printf '%s\\r\\n' "POST /v2/$name/blobs/uploads/ HTTP/1.1" "Host: $host" "Authorization: Bearer $(token pull,push)" \\
  "Content-Length: 0" "Connection: close" "" | busybox nc -w 10 ${host%:*} ${host#*:}
"""


async def test_l7_a_pull_and_a_push_from_inside(networked: World, tmp_path: Path) -> None:
    async with networked.server.api() as api:
        organization = await make_organization(api)
        image = f"{own_host(networked)}/{organization}/dev:1"
        await make_repository(networked, api, f"{organization}/webapp", image)
        await publish(networked, api, f"{organization}/webapp")
        name = await launch_well(networked, api, f"{organization}/webapp")
        code, said = await run_inside(api, name, LOGIN + PULL)
        assert code == 0, said
        computed, named = said.strip().split(" = ")
        assert computed == named
        _, said = await run_inside(api, name, LOGIN + PUSH)
        assert said.startswith("HTTP/1.1 403 "), said
        assert '"code":"DENIED"' in said
        assert "A codespace's token pulls only." in said
        assert "personal access token that has the scope write:packages" in said
        client = Skopeo(tmp_path, await docker_config(api, name))
        done, said = await client.pull(image)
        assert done, said


async def test_l9_the_api_from_inside(networked: World) -> None:
    async with networked.server.api() as api:
        organization = await make_organization(api)
        await make_repository(networked, api, f"{organization}/webapp", f"{own_host(networked)}/{organization}/dev:1")
        await publish(networked, api, f"{organization}/webapp")
        name = await launch_well(networked, api, f"{organization}/webapp")
        ask = 'busybox wget -q -O - --header "Authorization: token $GITHUB_TOKEN" $GITHUB_API_URL/repos/$GITHUB_REPOSITORY'
        code, said = await run_inside(api, name, ask)
        assert (code, f'"full_name":"{organization}/webapp"' in said) == (0, True), said
