"""The whole client: what each word's module calls, on one connection."""

from berth.client.codespace import CodespaceCalls
from berth.client.command import CommandCalls
from berth.client.doctor import DoctorCalls
from berth.client.package import PackageCalls
from berth.client.prebuild import PrebuildCalls
from berth.client.repository import RepositoryCalls
from berth.client.secret import SecretCalls


class Client(PackageCalls, RepositoryCalls, SecretCalls, CodespaceCalls, PrebuildCalls, CommandCalls, DoctorCalls):
    """One server, one token. Close it, or use it in a `with`. `origin` is `https://host[:port]`."""
