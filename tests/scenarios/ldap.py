"""Maps of class `ldap` ask a real directory server: the files of tests/directory.

They are written and recorded as those of tests/cases (see the scenario `cases`);
slapd runs beside them, and `slapd stop` and `slapd start` in a script end and start it.
"""
# needs: trees/.have-slapd
import sys

import cases
from slapd import Slapd

FILES = "/project/tests/directory/*.txt"


def entry(name, *lines):
    return "dn: %s\n%s\n\n" % (name, "\n".join(lines))


BASE = "dc=stage,dc=test"


def person(uid, *lines, under="ou=people,"):
    return entry("uid=%s,%s%s" % (uid, under, BASE), "objectClass: inetOrgPerson",
                 "cn: %s" % uid, "sn: %s" % uid, *lines)


def sendmail_object(kind, name, *lines):
    return entry("cn=%s,ou=mta,%s" % (name, BASE), "objectClass: sendmailMTA" + kind, *lines)


ENTRIES = "".join([
    entry(BASE, "objectClass: dcObject", "objectClass: organization", "o: stage"),
    *(entry("ou=%s,%s" % (name, BASE), "objectClass: organizationalUnit")
      for name in ("people", "hidden", "mta", "groups", "links")),
    entry("cn=reader,%s" % BASE, "objectClass: organizationalRole", "objectClass: simpleSecurityObject",
          "userPassword: secret"),
    person("ann", "mail: ann@stage.test", "description: first", "telephoneNumber: 1"),
    person("bob", "mail: bob@stage.test", "mail: robert@stage.test", "description: both"),
    person("cid", "mail: cid@stage.test", "description: both", "description: a, comma"),
    person("dan*", "mail: star@stage.test"),
    person("(eve)", "mail: eve@stage.test"),
    person("f\\\\g", "mail: backslash@stage.test"),
    person("Gus", "mail: Gus@Stage.Test", "labeledURI: ldap:///%s??sub?(uid=ann)" % BASE),
    person("nomail"),
    person("pct", "mail: %1-%0-%%@stage.test"),
    person("deep", "mail: deep@stage.test", under="ou=people,") .replace("uid=deep,", "uid=deep,uid=ann,"),
    person("hid", "mail: hid@stage.test", under="ou=hidden,"),
    *(person("many%d" % n, "mail: many%d@stage.test" % n, "description: many") for n in range(8)),
    # Lists: members by name, by filter and by URL.
    entry("cn=list,ou=groups," + BASE, "objectClass: groupOfNames",
          "member: uid=ann,ou=people," + BASE, "member: uid=bob,ou=people," + BASE,
          "member: cn=inner,ou=groups," + BASE),
    entry("cn=broken,ou=groups," + BASE, "objectClass: groupOfNames",
          "member: uid=ann,ou=people," + BASE, "member: uid=none,ou=people," + BASE),
    entry("cn=inner,ou=groups," + BASE, "objectClass: groupOfNames",
          "member: uid=cid,ou=people," + BASE, "member: cn=list,ou=groups," + BASE),
    *(entry("cn=%s,ou=groups,%s" % (name, BASE), "objectClass: groupOfNames",
            *("member: %s,%s" % (member, BASE) for member in members.split()))
      for name, members in (
          ("down", "uid=cid,ou=people uid=bob,ou=people uid=ann,ou=people"),
          ("up", "uid=ann,ou=people uid=bob,ou=people uid=cid,ou=people"),
          ("twice", "cn=up,ou=groups cn=down,ou=groups uid=pct,ou=people cn=down,ou=groups"
                    .rsplit(" ", 1)[0]),
          ("first", "cn=pair,ou=groups uid=ann,ou=people"),
          ("pair", "uid=gus,ou=people uid=cid,ou=people"),
          ("last", "uid=ann,ou=people cn=pair,ou=groups"),
      )),
    entry("cn=mixed,ou=groups," + BASE, "objectClass: groupOfNames", "member: uid=ann,ou=people," + BASE,
          "description: (uid=bob)", "seeAlso: uid=cid,ou=people," + BASE,
          "businessCategory: ldap:///%s?mail?sub?(uid=ann)" % BASE),
    entry("cn=order,ou=groups," + BASE, "objectClass: groupOfNames", "member: cn=pair,ou=groups," + BASE,
          "member: uid=pct,ou=people," + BASE,
          "description: (uid=bob)", "businessCategory: ldap:///ou=people,%s?mail,telephoneNumber?sub?(uid=ann)" % BASE),
    sendmail_object("AliasObject", "a1", "sendmailMTAAliasGrouping: aliases", "sendmailMTAHost: mx.stage.test",
                    "sendmailMTAKey: direct", "sendmailMTAAliasValue: ann", "sendmailMTAAliasValue: bob"),
    sendmail_object("AliasObject", "a2", "sendmailMTAAliasGrouping: aliases", "sendmailMTACluster: farm",
                    "sendmailMTAKey: clustered", "sendmailMTAAliasValue: cid"),
    sendmail_object("AliasObject", "a3", "sendmailMTAAliasGrouping: aliases", "sendmailMTAHost: mx.stage.test",
                    "sendmailMTAKey: searched", "sendmailMTAAliasSearch: (sendmailMTAKey=direct)"),
    sendmail_object("AliasObject", "a4", "sendmailMTAAliasGrouping: aliases", "sendmailMTAHost: mx.stage.test",
                    "sendmailMTAKey: located",
                    "sendmailMTAAliasURL: ldap:///ou=mta,%s?sendmailMTAAliasValue?sub?(sendmailMTAKey=direct)"
                    % BASE),
    sendmail_object("MapObject", "m1", "sendmailMTAMapName: access", "sendmailMTAHost: mx.stage.test",
                    "sendmailMTAKey: stage.test", "sendmailMTAMapValue: RELAY"),
    sendmail_object("Class", "c1", "sendmailMTAHost: mx.stage.test", "sendmailMTAClassName: R",
                    "sendmailMTAClassValue: one.test", "sendmailMTAClassValue: two.test"),
    sendmail_object("Class", "c2", "sendmailMTACluster: farm", "sendmailMTAClassName: Long",
                    "sendmailMTAClassValue: three.test"),
])

LINKED = "".join([
    entry("dc=linked,dc=test", "objectClass: dcObject", "objectClass: organization", "o: linked"),
    entry("ou=local,dc=linked,dc=test", "objectClass: organizationalUnit"),
    entry("uid=here,ou=local,dc=linked,dc=test", "objectClass: inetOrgPerson", "cn: here", "sn: here",
          "mail: here@stage.test", "description: both"),
    *(entry("cn=%s,ou=%s,dc=linked,dc=test" % (name, place), "objectClass: referral",
            "objectClass: extensibleObject", "ref: " + where)
      for name, place, where in (
          ("people", "local", "ldap://127.0.0.2:1389/ou=people,%s??sub" % BASE),
      )),
    entry("ou=looping,dc=linked,dc=test", "objectClass: organizationalUnit"),
    entry("cn=loop,ou=looping,dc=linked,dc=test", "objectClass: referral", "objectClass: extensibleObject",
          "ref: ldap://127.0.0.1/ou=looping,dc=linked,dc=test??sub"),
    entry("ou=dead,dc=linked,dc=test", "objectClass: organizationalUnit"),
    entry("cn=dead,ou=dead,dc=linked,dc=test", "objectClass: referral", "objectClass: extensibleObject",
          "ref: ldap://127.0.0.9/ou=people,%s??sub" % BASE),
])


def run(stage):
    server = Slapd(stage, ENTRIES, LINKED)
    cases.CASES = FILES
    if len(sys.argv) > 1 and sys.argv[1].startswith("/"):
        cases.CASES = sys.argv.pop(1)
    cases.Case.actions = {"slapd stop": server.stop, "slapd start": server.start}
    cases.run(stage)
