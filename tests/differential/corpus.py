"""What is asked of both programs: configurations, addresses, and the questions made of them."""
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
CF = "/usr/share/sendmail/cf"
# Values that change from run to run or from machine to machine.
VOLATILE = {"b", "d", "t", "a", "p", "i", "v", "{time}", "{load_avg}"}
# Questions to these need a network; /map on a macro map makes the real program die.
UNASKED_CLASSES = {"dns", "bestmx", "socket", "macro", "userdb", "nis"}
# Some octets are symbols to the real program: all from 0x80 to 0x9f at the start of a word, the codes of
# macros and conditions anywhere. Only /try takes such addresses; what they do then is nothing to be like.
SYMBOLIC = re.compile(rb"(^|[^0-9A-Za-z\x80-\xff])[\x80-\x9f]|[\x81\x82\x9a-\x9c]")
FLAGS = [b"HS", b"HR", b"ES", b"ER"]
CLIENTS = [(b"localhost", b"127.0.0.1", b"OK"), (b"client.example.net", b"198.51.100.7", b"OK"),
           (b"[203.0.113.9]", b"203.0.113.9", b"FAIL"), (b"liar.example.org", b"203.0.113.66", b"FORGED"),
           (b"slow.example.org", b"IPv6:2001:db8::7", b"TEMP")]


def addresses():
    """The addresses of addresses.txt: {hex 0a} is one octet, {x300}a repeats the next character."""
    found = []
    with open(HERE + "/addresses.txt", "rb") as f:
        for line in f.read().split(b"\n"):
            if line and not line.startswith(b"# "):
                line = re.sub(rb"\{x(\d+)\}(.)", lambda m: m.group(2) * int(m.group(1)), line)
                found.append(re.sub(rb"\{hex ([0-9a-f]{2})\}", lambda m: bytes([int(m.group(1), 16)]), line))
    return found


def expand(name):
    """Makes the .cf of mc/NAME.mc with the real program's own m4 library; returns its path and text."""
    done = subprocess.run(["m4", "-D_CF_DIR_=" + CF + "/", CF + "/m4/cf.m4", HERE + "/mc/" + name + ".mc"],
                          capture_output=True, cwd="/etc/mail")
    assert done.returncode == 0 and b"*** ERROR" not in done.stderr, (name, done.stderr)
    # Hands two values to a ruleset that wants a host and an address.
    text = done.stdout + b"\nSDifferPair\nR$* $$| $*\t$: $1 $| $2\n"
    path = "/etc/mail/" + name + ".cf"
    with open(path, "wb") as f:
        f.write(text)
    return path, text


class Facts:
    """The names a configuration defines."""

    def __init__(self, text):
        self.rulesets, self.mailers, self.maps, self.classes, self.macros = [], [], [], [], []
        for line in re.sub(rb"\n[ \t]+", b" ", text).split(b"\n"):
            letter, rest = line[:1], line[1:]
            name = re.match(rb"\{[^}]*\}|.", rest)
            if letter == b"S":
                self.rulesets.append(re.split(rb"[=\s#]", rest.strip())[0])
            elif letter == b"M":
                self.mailers.append(rest.split(b",")[0].strip())
            elif letter == b"K" and len(rest.split()) > 1:
                self.maps.append(tuple(rest.split()[:2]))
            elif letter in (b"C", b"F") and name:
                self.classes.append(name.group())
            elif letter == b"D" and name and name.group().decode("latin-1") not in VOLATILE:
                self.macros.append(name.group())
        for names in (self.rulesets, self.mailers, self.maps, self.classes, self.macros):
            names[:] = dict.fromkeys(names)


def spread(items, count):
    """At most `count` of the items, evenly."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def questions(facts, all_addresses, share):
    """The blocks for one configuration; `share` is how much of the addresses is used."""
    few = spread(all_addresses, int(len(all_addresses) * share))
    triable = [address for address in few if not SYMBOLIC.search(address)]
    blocks = [[b"=M"]]
    blocks += [[b"=S" + name] for name in facts.rulesets]
    blocks += [[b"$" + name] for name in facts.macros]
    for address in few:
        blocks += [[b"3,0 " + address], [b"/parse " + address]]
    tried = [name for name in facts.mailers if name not in (b"prog", b"*file*", b"*include*")]
    for turn, name in enumerate(tried):
        for number, address in enumerate(spread(triable, max(8, 200 // len(tried)))):
            flags = FLAGS[(turn + number) % 4]
            blocks.append([b"/tryflags " + flags, b"/try " + name + b" " + address])
    blocks.append([b"/tryflags ER"])
    for number, (host, address, resolved) in enumerate(CLIENTS):
        blocks.append([b".D{client_name}" + host, b".D{client_addr}" + address, b".D{client_ptr}" + host,
                       b".D{client_resolve}" + resolved, b".Ds" + host, b".Df<ann@example.test>"])
        some = spread(few, 60)[number::5]
        for name in facts.rulesets:
            if re.match(rb"(Basic_|Local_)?check_(relay|compat|mail|rcpt)|(srv|tls)_|try_tls|authinfo|trust_auth|"
                        rb"queuegroup|check_(vrfy|expn|etrn|data|eoh|helo)|Relay|Search|D2U|[LAD]\d*$", name):
                blocks.append([b"DifferPair," + name + b" " + host + b" $| " + address])
                blocks += [[name + b" " + one] for one in [*some, host, b"<bob@example.org>"]]
    keys = [b"ann", b"info@example.org", b"@example.org", b"example.org", b"[192.0.2.20]", b'"a b"', b"1 + 2",
            b"Connect:203.0.113", b"From:spam@example.com", b"To:bob", b"a" * 120]
    for name, kind in facts.maps:
        if kind.decode("latin-1") not in UNASKED_CLASSES:
            blocks += [[b"/map " + name + b" " + key] for key in keys + spread(few, 6)]
    return blocks
