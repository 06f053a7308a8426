"""Worked examples of the tutorial: macros, classes, rules, mailers, seen through address test mode."""
from stage import write

HEAD = """V10
Cwlocalhost
Djhost.example.com
O QueueDirectory=/var/spool/mqueue
O OperatorChars=.:%@!^/[]+
O DontProbeInterfaces=True
Mlocal, P=/bin/mail, F=lsDFMAw5:/|@q, A=mail -d $u
Mprog, P=/bin/sh, F=lsDFMe, A=sh -c $u
"""


def run(stage):
    stage.configure()
    for example in (macro_in_both_sides, class_forms, masquerade, hello_bye, split_at, do_while,
                    tokens, test_file, local_domain, user_only, mailer_lines, ipc_warning,
                    old_operators, option_syntax, identities, bang, hidden_dot):
        example(stage)
        print("ok", example.__name__)


def ask(stage, rules, questions, head=HEAD, arguments=()):
    write("/tmp/test.cf", head + rules)
    done = stage.run(["sendmail", "-C/tmp/test.cf", *arguments, "-bt"], text=questions + "\n")
    return (done.stdout + done.stderr).decode().replace("> ", "", 1)


def returns(stage, rules, question, arguments=(), head=HEAD):
    """What a question ends as, tokens and all."""
    said = ask(stage, rules, question, head, arguments)
    lines = [line for line in said.split("\n") if "returns:" in line]
    assert lines, said
    return lines[-1].split("returns:", 1)[1].strip()


def macro_in_both_sides(stage):                                                     # E16
    rules = "DDxyz.com\nS10\nR$D\ten $D\n"
    assert returns(stage, rules, "10 xyz.com") == "en xyz . com", "macro D"


def class_forms(stage):                                                             # E20
    for form in ("CHmarret llevant gregal\n", "CHmarret\nCHllevant\nCHgregal\n"):
        said = ask(stage, form, "$=H").split()
        assert {"marret", "llevant", "gregal"} <= set(said), said


def masquerade(stage):                                                              # E21
    rules = "Cmexample.com\nS10\nR$+<@$=m>\t$1<@$j>\n"
    assert returns(stage, rules, "10 pepe<@example.com>") == "pepe < @ host . example . com >"


def hello_bye(stage):                                                               # E27
    rules = "S10\nRhello\tbye\n"
    assert returns(stage, rules, "10 hello") == "bye"
    assert returns(stage, rules, "10 Hello") == "bye"
    assert returns(stage, rules, "10 hello world") == "hello world"


def split_at(stage):                                                                # E28
    rules = "S10\nR$-@$*\t$@juan@$2\n"
    assert returns(stage, rules, "10 al001010@alumail.uji.es") == "juan @ alumail . uji . es"
    looping = "S10\nR$-@$*\tjuan@$2\n"
    said = ask(stage, looping, "10 al001010@alumail.uji.es")
    assert "Infinite loop" in said and "juan @ alumail . uji . es" in said, said


def do_while(stage):                                                                # E29
    rules = "S10\nRx\ty\nRy\tz\nRz\ta\n"
    for word in "xyz":
        assert returns(stage, rules, "10 " + word) == "a"


def tokens(stage):                                                                  # E30
    head = HEAD.replace("V10\n", "").replace("O OperatorChars=.:%@!^/[]+\n", "Do.:%@!^=/[]\n")
    assert returns(stage, "S10\n", "10 a@b", head=head) == "a @ b"


def test_file(stage):                                                               # E31 E32 E33 E54
    write("/tmp/t.cf", "Mlocal, A=x, P=X\nMprog A=x, P=X\nDo.:%@!^=/[]\nS0\nR$+@$+\t$2!$1\n")
    done = stage.run(["sendmail", "-oQ/tmp", "-C/tmp/t.cf", "-bt"], text="0 juan@xyz\n")
    said = (done.stdout + done.stderr).decode()
    assert "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)" in said, said
    assert "0                  input: juan @ xyz" in said, said
    assert "0                returns: xyz ! juan" in said, said
    assert "supports version 10, .cf file is version 0" in said, said


LINUX_SETS = """Dnroot
S50
R$*<@$*>$*\t$@$1<@$2>$3
R$+\t$@$1<@*LOCAL*>
S94
S93
S10
R<@>\t$n
R$*\t$>50$1
R$*\t$:$>94$1
S20
R$+<@$*>\t$1
S40
R<@>\t$@$1
#R$*\tx
R$*\t$>50$1
"""


def local_domain(stage):                                                            # E34 E37 E38
    sets = LINUX_SETS.replace("Dnroot", "DnMAILER-DAEMON").replace("$@$1\n#R", "$@<@>\n#R")
    assert returns(stage, sets, "10 pepe") == "pepe < @ *LOCAL* >"
    assert returns(stage, sets, "10 pepe<@xyz.com>") == "pepe < @ xyz . com >"
    assert returns(stage, sets, "10 <@>") == "MAILER-DAEMON < @ *LOCAL* >"
    assert returns(stage, sets, "40 pepe") == "pepe < @ *LOCAL* >"
    assert returns(stage, sets, "40 <@>") == "< @ >"
    assert returns(stage, sets, "50 a<@b>c") == "a < @ b > c"
    assert returns(stage, sets, "50 <pepe>") == "< pepe > < @ *LOCAL* >"


def user_only(stage):                                                               # E35
    assert returns(stage, LINUX_SETS, "20 pepe<@xyz.com>") == "pepe"
    assert returns(stage, LINUX_SETS, "20 pepe") == "pepe"


LINUX_MAILERS = """Mlocal, P=/usr/bin/procmail, F=lsDFMAw5:/|@qSPfhn9, S=10/30, R=20/40,
\tT=DNS/RFC822/X-Unix, A=procmail -Y -a $h -d $u
Mprog, P=/bin/sh, F=lsDFMoqeu9, S=10/30, R=20/40, D=$z:/,
\tT=X-Unix, A=sh -c $u
Msmtp, P=[IPC], F=mDFMuX, S=11/31, R=21, E=\\r\\n, L=990,
\tT=DNS/RFC822/SMTP, A=IPC $h
Mrelay, P=[IPC], F=mDFMuXa8, S=11/31, R=61, E=\\r\\n, L=2040,
\tT=DNS/RFC822/SMTP, A=IPC $h
"""


def mailer_lines(stage):                                                            # E39 E41
    head = "V8\nDjhost.example.com\nO QueueDirectory=/var/spool/mqueue\nO OperatorChars=.:%@!^/[]+\n"
    said = ask(stage, LINUX_MAILERS, "=M", head=head)
    for part in ("S=10/30 R=20/40", "S=11/31 R=21/21", "R=61/61", "L=990", "L=2040", "T=X-Unix/rfc822/smtp"):
        assert part.lower() in said.lower(), (part, said)


def ipc_warning(stage):                                                             # E40
    said = ask(stage, "Mx, P=[IPC], F=mDF, A=IPC $h\n", "=M")
    assert "first argument in [IPC] mailer must be TCP or FILE" in said, said


def old_operators(stage):
    head = "Do.:%@!^=/[]\nMlocal, A=x, P=X\nMprog, A=x, P=X\nO QueueDirectory=/tmp\n"
    assert returns(stage, "S10\n", "10 a=b", head=head) == "a = b"


def option_syntax(stage):                                                           # E22
    said = ask(stage, "O Timeout.connect=3m30s\n", "$j", arguments=("-d37.1",))
    assert "setoption Timeout (r).connect=3m30s" in said, said


def identities(stage):                                                              # E63
    head = HEAD.replace("Djhost.example.com\n", "")
    said = ask(stage, "", "$j\n$w\n$m", head=head)
    values = [line.replace("> ", "") for line in said.split("\n") if line][-4:]
    assert "mx.stage.test" in values and "mx" in values and "stage.test" in values, values


def bang(stage):                                                                    # E46
    rules = "S10\nR$+@$+\t$2!$1\n"
    assert returns(stage, rules, "10 juan@xyz") == "xyz ! juan"


def hidden_dot(stage):                                                              # E44
    said = stage.run(["sendmail", "-Am", "-bt"], text="3,0 juan@xyz.com.\n").stdout.decode()
    assert "$# esmtp $@ xyz . com . $: juan < @ xyz . com . >" in said, said
