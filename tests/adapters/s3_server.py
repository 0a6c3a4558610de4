"""An S3 server of the tests' own: moto's, in a process of its own, on a free port of the loopback interface."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx

from berth.adapters.s3_client import S3Client
from berth.adapters.s3_upload import PartSizes
from berth.domain.s3_address import S3Address

_PROGRAM = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open, as S3's do

    def log_request(self, *_):
        pass


server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
"""
# S3's least is 5 MiB; with small parts a small blob has many.
SIZES = PartSizes(first_bytes=64 * 1024, step=4)
# Made up; the server takes any.
IDENTITY = {
    "AWS_ACCESS_KEY_ID": "AKIDCANARY",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class S3Server:
    port: int
    process: subprocess.Popen[str]
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make_bucket(self) -> S3Address:
        """A place in a bucket that nobody used before."""
        bucket = f"bucket-{next(self._numbers)}"
        httpx.put(f"{self.endpoint}/{bucket}", trust_env=False).raise_for_status()
        return S3Address(bucket=bucket, prefix="a/prefix", endpoint=self.endpoint, region="us-east-1", path_style=True)


def at_bucket(connection: S3Client, address: S3Address) -> S3Client:
    """A client for another place on the same server."""
    return S3Client(connection._client, address, connection._failures)


def url_of(address: S3Address) -> str:
    """As BLOBS names it."""
    return f"s3://{address.bucket}/{address.prefix}?endpoint={address.endpoint}&region={address.region}"


@contextmanager
def start_s3_server() -> Iterator[S3Server]:
    """Runs as long as the block."""
    command = [sys.executable, "-c", _PROGRAM]
    environment = {
        **os.environ,
        "S3_UPLOAD_PART_MIN_SIZE": str(SIZES.first_bytes),
        "MOTO_S3_DEFAULT_MAX_KEYS": "7",  # so that there are pages
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, "the S3 server did not start"
            yield S3Server(int(port), process)
        finally:
            process.kill()
