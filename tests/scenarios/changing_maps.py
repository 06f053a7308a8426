"""Files of maps and the hosts file change while a session of test mode runs: the next answer knows."""
import os
import re
import subprocess
import time

from stage import write

# Seconds after its last change from which a file may be kept in memory.
SETTLED = 3.2
# So many questions in one block that every file is kept.
OFTEN = 40


def run(stage):
    write("/etc/mail/chosen.cf", "V10\nKwords text -k0 -v1 /etc/mail/words\nKpairs hash /etc/mail/pairs\n"
          "Kswap program /srv/swap\nO HostsFile=/etc/mail/hosts\n"
          "O ServiceSwitchFile=/etc/mail/switch\n"
          "Slook\nR$*\t$: $(words $1 $: none $)\nSpair\nR$*\t$: $(pairs $1 $: none $)\n"
          "Shost\nR$*\t$: $[ $1 $: none $]\nSboth\nR$*\t$: $(words $1 $: none $) $(swap $1 $) $(words $1 $: none $)\n")
    write("/etc/mail/switch", "hosts files\n")
    write("/srv/swap", "#!/bin/sh\necho 'key swapped' >/etc/mail/words.new\n"
          "mv /etc/mail/words.new /etc/mail/words\necho done\n", 0o755)

    def lay(word, address):
        write("/etc/mail/words", "key %s\n" % word)
        write("/etc/mail/hosts", "%s %s.example.test %s\n" % (address, word, word))
        make = subprocess.run(["makemap", "-C", "/dev/null", "hash", "/etc/mail/pairs"],
                              input=b"key %s\n" % word.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert make.returncode == 0, make.stdout

    # Programs of maps run as the default user.
    os.chown("/etc/mail", 1, 1)
    lay("one", "192.0.2.1")
    session = subprocess.Popen(["sendmail", "-C/etc/mail/chosen.cf", "-bt"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ask(ruleset, key="key", times=1):
        """Sends a block of questions and returns the answers, once the mark behind them was answered."""
        session.stdin.write(("%s %s\n" % (ruleset, key) * times + "/no-such-command\n").encode())
        session.stdin.flush()
        said = b""
        while b"/no-such-command\n" not in said:
            line = session.stdout.readline()
            assert line, said
            said += line
        return [a.decode().replace(" ", "") for a in re.findall(rb"returns: *(.*)", said)]

    def answers(word):
        for ruleset, key, answer in (("look", "key", word), ("pair", "key", word),
                                     ("host", word, word + ".example.test.")):
            got = ask(ruleset, key, OFTEN)
            assert got == [answer] * OFTEN, (ruleset, word, set(got))

    time.sleep(SETTLED)
    answers("one")
    lay("two", "192.0.2.2")
    answers("two")
    time.sleep(SETTLED)
    answers("two")
    # A program that a rule runs may change a file, too.
    got = ask("both", times=2)
    assert got == ["twodoneswapped", "swappeddoneswapped"], got
    session.stdin.close()
    session.wait(20)
