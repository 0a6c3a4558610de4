"""`docker-credential-berth get` beside a bare start of the same Python, and beside Debian's amazon-ecr-credential-helper.

Every program is started anew in each round, in turns. AWS is played over TLS by the tests' fake under AWS's own name: ours is led
there by BERTH_RESOLVE, the other one by a proxy; both are to trust a test authority. Medians are compared. Exit status 1 if the bar
is not held: the answer for a triple that is not AWS's takes at most twice the CPU of `python3 -c pass`.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for the tests' fakes

from tests.fakes.certificates import Authority  # noqa: E402
from tests.fakes.connect_proxy import run_connect_proxy  # noqa: E402
from tests.fakes.ecr import KEY_ID, SECRET, FakeECR  # noqa: E402
from tests.fakes.http_server import HTTPServer  # noqa: E402

BAR = 2.0
REGION = "eu-west-1"
REGISTRY, API = f"123456789012.dkr.ecr.{REGION}.amazonaws.com", f"api.ecr.{REGION}.amazonaws.com"
OWN = Path(sys.executable).with_name("docker-credential-berth")
BARE, PLAIN, REPAIRED = "python3 -c pass", "a triple that is in order", "a triple to repair"
SWAP, KEPT, THEIRS = "AWS keys, asking AWS", "AWS keys, token kept", "amazon-ecr-credential-helper, asking AWS"


def triple(server, user, password):
    values = {"SERVER": server, "USER": user, "PASSWORD": password}
    return {f"CORP_CONTAINER_REGISTRY_{part}": value for part, value in values.items()}


def measure(command, asked, environ, expected):
    """Wall and CPU seconds. The answer is looked at: a helper that fails quickly is not fast."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as process:
        process.stdin.write(asked.encode())
        process.stdin.close()
        answer, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    wall = time.perf_counter() - began
    if status or (expected and json.loads(answer)["Username"] != expected):
        raise SystemExit(f"{command[0]} failed: {answer.decode()} {errors.decode()}")
    return wall, usage.ru_utime + usage.ru_stime


def programs(folder, plain_environ, api_port, ca_file, proxy, theirs):
    """What is run: by name its arguments, what it is asked, its environment, the user that it is to answer."""
    aws = {
        **plain_environ,
        **triple(REGISTRY, KEY_ID, SECRET),
        "BERTH_RESOLVE": f"{API}=127.0.0.1:{api_port}",
        "BERTH_CA_FILE": str(ca_file),
    }
    own = [str(OWN), "get"]
    found = {
        BARE: ([sys.executable, "-c", "pass"], "", plain_environ, ""),
        PLAIN: (own, "ghcr.io", {**plain_environ, **triple("ghcr.io", "robot", "hunter2")}, "robot"),
        REPAIRED: (own, "ghcr.io", {**plain_environ, **triple("https://ghcr.io/", "ann", "hunter2")}, "ann"),
        SWAP: (own, REGISTRY, {**aws, "XDG_CACHE_HOME": "/proc/nowhere"}, "AWS"),
        KEPT: (own, REGISTRY, {**aws, "XDG_CACHE_HOME": str(folder)}, "AWS"),
    }
    if theirs:
        environ = {
            **plain_environ,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_CA_BUNDLE": str(ca_file),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ECR_DISABLE_CACHE": "true",
            "HTTPS_PROXY": f"http://{proxy}",
        }
        found[THEIRS] = ([theirs, "get"], REGISTRY, environ, "AWS")
    return found


async def run(rounds, theirs):
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as name:
        folder = Path(name)
        authority, fake = Authority(folder), FakeECR()
        plain = {"PATH": os.environ["PATH"], "HOME": name}
        async with (
            HTTPServer.run(fake, tls=authority.server_context(API)) as api,
            run_connect_proxy({f"{API}:443": api.port}) as proxy,
        ):
            wanted = programs(folder, plain, api.port, authority.ca_file, proxy, theirs)
            measured = {what: [] for what in wanted}
            for number in range(rounds + 1):
                for what, arguments in wanted.items():
                    asked_before = len(fake.swaps)
                    taken = await asyncio.to_thread(measure, *arguments)
                    if what in {SWAP, THEIRS} and len(fake.swaps) != asked_before + 1:
                        raise SystemExit(f"{what}: AWS was not asked")
                    if number:  # the first round fills the caches of the disk, and ours
                        measured[what].append(taken)
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--theirs", default=shutil.which("docker-credential-ecr-login"), help="that program")
    arguments = parser.parse_args()
    measured = asyncio.run(run(arguments.rounds, arguments.theirs))
    base = statistics.median(cpu for _, cpu in measured[BARE])
    print(f"{'':44} {'wall ms':>8} {'CPU ms':>8} {'CPU ÷':>6}   median of {arguments.rounds}")
    for what, taken in measured.items():
        wall, cpu = (statistics.median(values) for values in zip(*taken, strict=True))
        print(f"{what:44} {wall * 1000:8.1f} {cpu * 1000:8.1f} {cpu / base:6.2f}")
    if not arguments.theirs:
        print("amazon-ecr-credential-helper is not installed: not compared")
    ratio = statistics.median(own / bare for (_, own), (_, bare) in zip(measured[PLAIN], measured[BARE], strict=True))
    print(f"{PLAIN} ÷ {BARE}, round by round: {ratio:.2f} (bar: at most {BAR})")
    raise SystemExit(ratio > BAR)


if __name__ == "__main__":
    main()
