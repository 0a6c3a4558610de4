"""The keys of a Compose file: which are understood, which are passed over, which are refused and why (L4).

Deny by default: a key in no table is refused by name. Keys that begin with `x-` are the author's own. A refused key passes with a
value that asks for nothing. What is passed over is said in the creation log. What an administrator may allow is
understood here, and `compose_options.py` judges it.
Source: Compose Specification, schema/compose-spec.json at 00655e2, "service" and the top level; "build" likewise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from berth.domain.jsonc import printable
from berth.domain.problem import Invalid

NOT_ALLOWED, UNSUPPORTED = "compose.not_allowed", "compose.unsupported"
_NOTHING: tuple[object, ...] = (None, False, [], {}, "")


@dataclass(frozen=True, slots=True)
class RefusedKey:
    """Why a key may not be there, and what to do instead."""

    code: str
    why: str
    instead: str = "Remove it."


@dataclass(frozen=True, slots=True)
class KeyTable:
    """One kind of mapping in a Compose file."""

    understood: frozenset[str]
    passed_over: Mapping[str, str]
    refused: Mapping[str, RefusedKey]

    def review(self, values: Mapping[str, object], what: str, notes: list[str]) -> None:
        """Raises Invalid for the first key that is refused; `what` is what the message calls the mapping."""
        for key, value in values.items():
            if key.startswith("x-") or key in self.understood:
                continue
            if key in self.passed_over:
                notes.append(f"'{key}' of {what} is passed over: {self.passed_over[key]}.")
            elif key not in self.refused:
                raise self._unknown(key, what)
            elif not asks_for_nothing(value):
                refused = self.refused[key]
                raise refusal(f"'{key}' of {what} is refused: {refused.why}.", refused.code, refused.instead)

    def _unknown(self, key: str, what: str) -> Invalid:
        near = get_close_matches(key, self.understood, n=1)
        remedy = f"Did you mean '{near[0]}'? Otherwise remove it." if near else "Remove the key."
        sentence = f"Berth does not know the key {printable(key)} of {what}, so it refuses it."
        return refusal(sentence, code="compose.unknown_key", remedy=remedy)


def refusal(sentence: str, code: str = "compose.value", remedy: str = "") -> Invalid:
    """How all of a Compose file's review says no."""
    return Invalid(sentence, field="devcontainer_path", code=code, remedy=remedy)


def asks_for_nothing(value: object) -> bool:
    """Whatever its key: it may stay there."""
    return any(value == one and type(value) is type(one) for one in _NOTHING)


_PRIVILEGE = RefusedKey(
    NOT_ALLOWED,
    "it weakens the wall between the containers and the server",
    "Remove it, or ask the administrator of this server.",
)
_HOST = RefusedKey(NOT_ALLOWED, "it would join something of the server's, or of another container's")
_DEVICE = RefusedKey(NOT_ALLOWED, "it would reach devices of the server")
_FILE = RefusedKey(
    NOT_ALLOWED, "it could read files of the server", "Use the checkout, 'environment' or 'env_file' instead."
)
_KERNEL = RefusedKey(NOT_ALLOWED, "it would change how the server's kernel treats the container")
_SECRET = RefusedKey(
    UNSUPPORTED, "secrets do not come from Compose files", "Use codespaces secrets; the main container has them."
)
_NOT_HERE = RefusedKey(UNSUPPORTED, "this version of Berth does not have it")
_NAMES = RefusedKey(
    UNSUPPORTED, "names are those of the codespace's own network", "Use service names, 'aliases' or 'extra_hosts'."
)
_LIMITS = "the limits are those of the codespace's machine"
_PORTS = "a codespace publishes no port of the server; forward one with 'berth codespace ports forward'"

SERVICE = KeyTable(
    understood=frozenset(
        {
            "build",
            "cap_add",
            "cap_drop",
            "command",
            "depends_on",
            "devices",
            "domainname",
            "entrypoint",
            "env_file",
            "environment",
            "expose",
            "extra_hosts",
            "healthcheck",
            "hostname",
            "image",
            "init",
            "ipc",
            "labels",
            "links",
            "network_mode",
            "networks",
            "pid",
            "privileged",
            "profiles",
            "read_only",
            "restart",
            "security_opt",
            "shm_size",
            "stdin_open",
            "stop_grace_period",
            "stop_signal",
            "tmpfs",
            "tty",
            "user",
            "userns_mode",
            "uts",
            "volumes",
            "working_dir",
        }
    ),
    passed_over={
        "annotations": "nothing here reads them",
        "attach": "the output of all services stays with the engine",
        "container_name": "containers have the name that Berth gives them",
        "deploy": _LIMITS,
        "develop": "nothing here watches files",
        "logging": "the engine decides where logs go",
        "platform": "images are those for the engine's platform",
        "ports": _PORTS,
        "scale": "each service has one container",
        **dict.fromkeys(
            ("pull_policy", "pull_refresh_after"), "each image is asked for at each launch, whatever the engine holds"
        ),
        **dict.fromkeys(
            (
                "cpu_count",
                "cpu_percent",
                "cpu_period",
                "cpu_quota",
                "cpu_shares",
                "cpus",
                "cpuset",
                "mem_limit",
                "mem_reservation",
                "mem_swappiness",
                "memswap_limit",
                "pids_limit",
                "ulimits",
            ),
            _LIMITS,
        ),
    },
    refused={
        "group_add": _PRIVILEGE,
        **dict.fromkeys(("cgroup", "cgroup_parent", "volumes_from", "external_links", "isolation"), _HOST),
        **dict.fromkeys(("device_cgroup_rules", "gpus", "blkio_config", "storage_opt", "runtime"), _DEVICE),
        **dict.fromkeys(("sysctls", "oom_kill_disable", "oom_score_adj", "cpu_rt_period", "cpu_rt_runtime"), _KERNEL),
        **dict.fromkeys(("configs", "label_file", "credential_spec"), _FILE),
        **dict.fromkeys(("dns", "dns_opt", "dns_search", "mac_address"), _NAMES),
        **dict.fromkeys(("provider", "models", "post_start", "pre_start", "pre_stop", "driver_opts"), _NOT_HERE),
        "extends": RefusedKey(
            UNSUPPORTED,
            "services are not taken from elsewhere",
            "Use YAML's anchors and '<<', or several Compose files.",
        ),
        "secrets": _SECRET,
        "use_api_socket": RefusedKey(NOT_ALLOWED, "whoever has the engine's socket has the server"),
    },
)

FILE = KeyTable(
    understood=frozenset({"services", "volumes", "networks"}),
    passed_over={},
    refused={
        "include": RefusedKey(UNSUPPORTED, "other files are not included", "List them in 'dockerComposeFile'."),
        "configs": _FILE,
        "secrets": _SECRET,
        "models": _NOT_HERE,
    },
)
IGNORED_IN_FILE = frozenset({"version", "name"})  # say nothing that holds here: nobody need be told

VOLUME = KeyTable(
    understood=frozenset({"driver", "external"}),
    passed_over=dict.fromkeys(("name", "labels"), "volumes are the codespace's own, with a name that Berth gives"),
    refused={"driver_opts": RefusedKey(NOT_ALLOWED, "it could mount folders of the server")},
)

NETWORK = KeyTable(
    understood=frozenset({"driver", "external"}),
    passed_over=dict.fromkeys(
        ("name", "labels", "attachable", "internal", "enable_ipv4", "enable_ipv6"),
        "all services share one network, the codespace's own",
    ),
    refused={
        "driver_opts": RefusedKey(NOT_ALLOWED, "it could change networks of the server"),
        "ipam": RefusedKey(UNSUPPORTED, "the engine chooses addresses", "Use the services' names."),
    },
)

BUILD = KeyTable(
    understood=frozenset({"context", "dockerfile", "args", "target"}),
    passed_over={
        **dict.fromkeys(("cache_from", "cache_to", "no_cache", "pull"), "layers are kept by Berth's own rules"),
        **dict.fromkeys(("labels", "tags", "platforms"), "the image is used here only"),
        **dict.fromkeys(("shm_size", "ulimits"), _LIMITS),
    },
    refused={
        "privileged": _PRIVILEGE,
        "entitlements": _PRIVILEGE,
        "network": _HOST,
        "isolation": _HOST,
        "extra_hosts": _NAMES,
        **dict.fromkeys(("ssh", "secrets"), RefusedKey(NOT_ALLOWED, "no secret enters a build")),
        **dict.fromkeys(("additional_contexts", "dockerfile_inline", "provenance", "sbom"), _NOT_HERE),
    },
)
