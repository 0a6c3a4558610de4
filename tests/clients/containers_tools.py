"""podman, buildah and skopeo: three programs that share a library, its files and its options."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from tests.clients.images import Image, digest_of, write_layout
from tests.clients.tool import Program, Said, Tool

# Root's list of which registry has which blob is in a place that no setting moves: it is hidden behind a folder of ours.
_HOST_CACHE = Path("/var/lib/containers")
_HIDE_HOST_CACHE = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"')


class ContainersTool(Tool):
    """Everything in one folder, layers as plain directories, no control groups, no user name spaces."""

    name = ""

    def __init__(self, folder: Path, *, ca_file: Path | None = None) -> None:
        """Plain HTTP is allowed unless there is an authority to trust."""
        super().__init__(folder)
        self._auth = folder / "auth.json"
        self._tls = "--tls-verify=false" if ca_file is None else f"--cert-dir={_trusting(folder, ca_file)}"
        cache = folder / "cache"
        for each in (cache, folder / "tmp", folder / "runtime", _HOST_CACHE):
            each.mkdir(parents=True, exist_ok=True)
        wrapper = (*_HIDE_HOST_CACHE, str(cache), str(_HOST_CACHE))
        self.run = Program(self.name, folder, self._environment(), wrapper)

    def _environment(self) -> Mapping[str, str]:
        """Source: containers-storage.conf(5), containers.conf(5), containers-registries.conf(5), containers-auth.json(5)."""
        storage = {"driver": "vfs", "graphroot": str(self.folder / "storage"), "runroot": str(self.folder / "run")}
        engine = {
            "cgroup_manager": "cgroupfs",
            "events_logger": "none",
            "lock_type": "file",
            "tmp_dir": str(self.folder / "libpod"),
        }
        network = {"network_config_dir": str(self.folder / "network")}
        files = {
            "storage.conf": _toml(storage=storage),
            "containers.conf": _toml(engine=engine, network=network),
            "registries.conf": "unqualified-search-registries = []\n",
        }
        for name, text in files.items():
            (self.folder / name).write_text(text)
        return {
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
            "REGISTRY_AUTH_FILE": str(self._auth),
            "XDG_RUNTIME_DIR": str(self.folder / "runtime"),
            "TMPDIR": str(self.folder / "tmp"),
            "BUILDAH_ISOLATION": "chroot",
        }

    def login(self, host: str, user: str, password: str) -> Said:
        return self.run("login", self._tls, "--username", user, "--password-stdin", host, stdin=password.encode())

    def logout(self, host: str) -> Said:
        return self.run("logout", host)

    def layout(self, *images: Image) -> str:
        """An OCI layout of them, as these tools name it: from their folder, because podman makes a name of the path."""
        name = uuid4().hex
        write_layout(self.folder / name, *images)
        return f"oci:{name}:1"

    def forget(self) -> None:
        self._auth.unlink(missing_ok=True)


class _WithStorage(ContainersTool):
    """podman and buildah call these things the same."""

    def load(self, image: Image, reference: str) -> None:
        self.run("pull", "--quiet", self.layout(image)).or_fail()
        self.run("tag", image.id.partition(":")[2], reference).or_fail()

    def push(self, image: Image, reference: str) -> Said:
        self.load(image, reference)
        return self.run("push", self._tls, reference)

    def pull(self, reference: str) -> Said:
        found = self._find_id(reference)
        if found.worked:
            self.run("rmi", "--force", found.text.strip()).or_fail()
        return self.run("pull", self._tls, reference)

    def pulled_id(self, reference: str) -> str:
        return f"sha256:{self._find_id(reference).or_fail().strip()}"

    def _find_id(self, reference: str) -> Said:
        raise NotImplementedError


class Podman(_WithStorage):
    name = "podman"

    def _find_id(self, reference: str) -> Said:
        return self.run("image", "inspect", "--format", "{{.Id}}", reference)


class Buildah(_WithStorage):
    name = "buildah"

    def _find_id(self, reference: str) -> Said:
        return self.run("inspect", "--type", "image", "--format", "{{.FromImageID}}", reference)


class Skopeo(ContainersTool):
    """It has no storage: it copies from and to folders."""

    name = "skopeo"

    @property
    def _pulled(self) -> Path:
        return self.folder / "pulled"

    def push(self, image: Image, reference: str) -> Said:
        return self.copy(self.layout(image), f"docker://{reference}")

    def pull(self, reference: str) -> Said:
        shutil.rmtree(self._pulled, ignore_errors=True)
        return self.copy(f"docker://{reference}", f"dir:{self._pulled}")

    def pulled_id(self, reference: str) -> str:
        manifest = json.loads((self._pulled / "manifest.json").read_bytes())
        for each in (manifest["config"], *manifest["layers"]):
            content = (self._pulled / each["digest"].partition(":")[2]).read_bytes()
            assert digest_of(content) == each["digest"]
        return str(manifest["config"]["digest"])

    def copy(self, source: str, target: str, *options: str) -> Said:
        tls = [f"--{end}-{self._tls.removeprefix('--')}" for end in ("src", "dest")]
        return self.run("copy", *tls, *options, source, target)

    def ask(self, *arguments: str) -> Said:
        """Any other verb."""
        return self.run(arguments[0], self._tls, *arguments[1:])


def _trusting(folder: Path, ca_file: Path) -> Path:
    """Source: containers-certs.d(5)."""
    certificates = folder / "certificates"
    certificates.mkdir(parents=True)
    shutil.copy(ca_file, certificates / "ca.crt")
    return certificates


def _toml(**tables: Mapping[str, str]) -> str:
    lines = []
    for name, values in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
