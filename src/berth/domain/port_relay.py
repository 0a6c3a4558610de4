"""Reaching a port of a codespace: a command in its container connects to it there, and its input and output are the connection.

Decided: the server dials nothing. What listens in a codespace mostly listens on loopback, which nobody outside reaches; an engine
on another machine has addresses that we do not; and a server that dials an address from a request is what C9 warns of. A
command can do nothing that its user could not do by `exec`, so there is nothing to guard: it is his container, or he has none.

The image has to have one of python3, perl (every Debian has it), busybox or another nc, bash. The last two cannot say to the
other side that nothing more comes; few protocols need it.
"""

from berth.domain.problem import Invalid
from berth.domain.whole_number import parse_whole_number

_PYTHON = """
import os, socket, sys, threading
found = reason = None
for host in ("127.0.0.1", "::1"):
    try:
        found = socket.create_connection((host, int(sys.argv[1])), 10)
        break
    except OSError as error:
        reason = reason or error
if found is None:
    sys.exit("nothing answers at port %s: %s" % (sys.argv[1], reason))
found.settimeout(None)
def up():
    try:
        while True:
            data = os.read(0, 65536)
            if not data:
                found.shutdown(socket.SHUT_WR)
                return
            found.sendall(data)
    except OSError:
        pass
threading.Thread(target=up, daemon=True).start()
try:
    while True:
        data = found.recv(65536)
        if not data:
            break
        while data:
            data = data[os.write(1, data):]
except OSError:
    pass
os._exit(0)
"""

_PERL = """
use IO::Socket::INET;
my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $ARGV[0], Timeout => 10)
  || eval { require IO::Socket::IP; IO::Socket::IP->new(PeerHost => "::1", PeerPort => $ARGV[0]) };
die "nothing answers at port $ARGV[0]\\n" unless $s;
$SIG{PIPE} = "IGNORE";
sub copy {
  my ($from, $to) = @_;
  while (my $n = sysread($from, my $data, 65536)) {
    for (my $at = 0; $at < $n;) { my $w = syswrite($to, $data, $n - $at, $at); return unless defined $w; $at += $w }
  }
}
my $child = fork;
if (!$child) { copy(*STDIN, $s); shutdown($s, 1); exit 0 }
copy($s, *STDOUT);
kill "KILL", $child;
"""

_SCRIPT = r"""port=$1
has() { command -v "$1" >/dev/null 2>&1; }
if has python3; then exec python3 -c "$2" "$port"; fi
if has perl; then exec perl -e "$3" "$port"; fi
if has busybox && busybox nc 2>&1 | grep -q Usage; then exec busybox nc 127.0.0.1 "$port"; fi
if has nc; then exec nc 127.0.0.1 "$port"; fi
if has bash; then exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/$0 || exit 1; cat <&0 >&3 & cat <&3; kill $!' "$port"; fi
echo "none of python3, perl, busybox, nc and bash is in this image" >&2
exit 69
"""


def relay_command(port: int) -> tuple[str, ...]:
    """What connects to a port of the container that it runs in."""
    return ("/bin/sh", "-c", _SCRIPT, "berth", str(port), _PYTHON, _PERL)


def parse_forward(text: str) -> tuple[int, int]:
    """`LOCAL:REMOTE`, or one number for both. Raises Invalid(code="cli.ports")."""
    local, _, remote = text.partition(":")
    ports = tuple(_port(each) for each in (local, remote or local))
    if None in ports or text.endswith(":"):
        raise Invalid(f"'{text[:40]}' is not LOCAL:REMOTE, each from 1 to 65535.", field="ports", code="cli.ports")
    return ports[0] or 0, ports[1] or 0


def _port(text: str) -> int | None:
    number = parse_whole_number(text)
    return number if number is not None and 0 < number < 65536 else None
