//! What the program says about itself with `-d0.1` and higher levels.
//!
//! Source: guide 3.4; layout and levels observed: 8.17.1.9.

use super::compiled::Config;
use super::startup::VERSION;
use crate::logging::debug::DebugFlags;
use crate::macros::{MacroId, MacroTable, Macros, Template};

/// Parts of the program that not every sendmail has.
pub const FEATURES: &[&str] = &[
    "DNSMAP",
    "IPV6_FULL",
    "LDAPMAP",
    "LDAP_NETWORK_TIMEOUT",
    "LDAP_REFERRALS",
    "LOG",
    "MAP_REGEX",
    "MATCHGECOS",
    "MAXDAEMONS=64",
    "MILTER",
    "MIME7TO8",
    "MIME8TO7",
    "NAMED_BIND",
    "NETINET",
    "NETINET6",
    "NETUNIX",
    "NEWDB=5.3",
    "PIPELINING",
    "SASLv2",
    "SCANF",
    "SOCKETMAP",
    "STARTTLS",
    "TCPWRAPPERS",
    "TLS_EC",
    "TLS_VRFY_PER_CTX",
    "USERDB",
    "USE_LDAP_INIT",
    "XDEBUG",
];

/// Parts of the reference in its order. What this program lacks is not shown, but lines break as if
/// it were: what both have stands on the same line in both.
const FEATURES_OF_REFERENCE: &[&str] = &[
    "DNSMAP",
    "IPV6_FULL",
    "LDAPMAP",
    "LDAP_NETWORK_TIMEOUT",
    "LDAP_REFERRALS",
    "LOG",
    "MAP_REGEX",
    "MATCHGECOS",
    "MAXDAEMONS=64",
    "MILTER",
    "MIME7TO8",
    "MIME8TO7",
    "NAMED_BIND",
    "NETINET",
    "NETINET6",
    "NETUNIX",
    "NEWDB=5.3",
    "NIS",
    "NISPLUS",
    "PIPELINING",
    "SASLv2",
    "SCANF",
    "SOCKETMAP",
    "STARTTLS",
    "TCPWRAPPERS",
    "TLS_EC",
    "TLS_VRFY_PER_CTX",
    "USERDB",
    "USE_LDAP_INIT",
    "XDEBUG",
];

/// Most characters of a line, its title or first tab counted.
/// Observed: 8.17.1.9.
const LINE_WIDTH: usize = 71;

/// Columns a title takes, and what counts as indentation of further lines.
const TITLE: usize = 15;
const INDENTATION: usize = 8;

/// What the system offers and the program uses, in the reference's words.
const SYSTEM_FEATURES: &[&str] = &[
    "ADDRCONFIG_IS_BROKEN",
    "HASFCHOWN",
    "HASFCHMOD",
    "HASFLOCK",
    "HASGETDTABLESIZE",
    "HAS_GETHOSTBYNAME2",
    "HASGETUSERSHELL",
    "HASINITGROUPS",
    "HASLSTAT",
    "HASNICE",
    "HASRANDOM",
    "HASRRESVPORT",
    "HASSETREGID",
    "HASSETREUID",
    "HASSETRLIMIT",
    "HASSETSID",
    "HASSETVBUF",
    "HASURANDOMDEV",
    "HASSTRERROR",
    "HASUNAME",
    "HASUNSETENV",
    "HASWAITPID",
    "IDENTPROTO",
    "IP_SRCROUTE",
    "NEEDSGETIPNODE",
    "REQUIRES_DIR_FSYNC",
    "SFS_VFS",
    "USE_DOUBLE_FORK",
    "USE_SIGLONGJMP",
    "USESETEUID",
];

/// What the reference's library says of the system, in its order; shown as [`FEATURES_OF_REFERENCE`].
const LIBRARY_FEATURES: &[&str] = &[
    "SM_CONF_LDAP_INITIALIZE",
    "SM_CONF_LDAP_MEMFREE",
    "SM_CONF_LONGLONG",
    "SM_CONF_MEMCHR",
    "SM_CONF_MSG",
    "SM_CONF_SEM",
    "SM_CONF_SIGSETJMP",
    "SM_CONF_SHM",
    "SM_CONF_SSIZE_T",
    "SM_CONF_STDBOOL_H",
    "SM_CONF_STDDEF_H",
    "SM_CONF_SYS_CDEFS_H",
    "SM_CONF_UID_GID",
    "DO_NOT_USE_STRCPY",
    "SM_HEAP_CHECK",
    "SM_OS=sm_os_linux",
    "SM_VA_STD",
];

/// What of it is not true of this program.
const LIBRARY_FEATURES_LACKED: &[&str] = &["SM_HEAP_CHECK"];

/// Parts of the reference that are for future use, in its order; shown as [`FEATURES_OF_REFERENCE`].
const FUTURE_FEATURES: &[&str] = &[
    "_FFR_BADRCPT_SHUTDOWN",
    "_FFR_MAIL_MACRO",
    "_FFR_MTA_STS",
    "_FFR_NO_PIPE",
    "_FFR_QUEUE_SCHED_DBG",
    "_FFR_REJECT_NUL_BYTE",
    "_FFR_RESET_MACRO_GLOBALS",
    "_FFR_RHS",
    "_FFR_SHM_STATUS",
    "_FFR_SKIP_DOMAINS",
    "_FFR_TLS_ALTNAMES",
];

/// What of it this program does. Of `_FFR_SHM_STATUS` nothing can be observed in 8.17.1.9 either.
const FUTURE_FEATURES_HERE: &[&str] = &[
    "_FFR_BADRCPT_SHUTDOWN",
    "_FFR_MAIL_MACRO",
    "_FFR_NO_PIPE",
    "_FFR_QUEUE_SCHED_DBG",
    "_FFR_REJECT_NUL_BYTE",
    "_FFR_RESET_MACRO_GLOBALS",
    "_FFR_RHS",
    "_FFR_SHM_STATUS",
    "_FFR_SKIP_DOMAINS",
    "_FFR_TLS_ALTNAMES",
];

/// Default places of files.
const DEFAULT_PLACES: &str = "\
Kernel symbols:\t/boot/vmlinux
     Conf file:\t/etc/mail/submit.cf (default for MSP)
     Conf file:\t/etc/mail/sendmail.cf (default for MTA)
      Pid file:\t/var/run/sendmail/mta/sendmail.pid (default)\n";

/// Gives version and parts of the program, without the last line end.
pub fn version(debug: &DebugFlags) -> String {
    let mut text = format!("Version {VERSION}\n");
    text += &folded(" Compiled with:", FEATURES_OF_REFERENCE, |it| {
        FEATURES.contains(&it)
    });
    if debug.is_on(0, 10) {
        text += &folded("    OS Defines:", SYSTEM_FEATURES, |_| true);
        text += DEFAULT_PLACES;
    }
    if debug.is_on(0, 12) {
        let is_here = |it| !LIBRARY_FEATURES_LACKED.contains(&it);
        text += &folded(" libsm Defines:", LIBRARY_FEATURES, is_here);
    }
    if debug.is_on(0, 13) {
        text += &folded("   FFR Defines:", FUTURE_FEATURES, |it| {
            FUTURE_FEATURES_HERE.contains(&it)
        });
    }
    text.pop();
    text
}

/// Folds a list behind its title and shows what of it is here.
fn folded<'f>(title: &str, all: &[&'f str], is_here: impl Fn(&'f str) -> bool) -> String {
    let mut text = title.to_owned();
    let mut column = TITLE;
    for feature in all {
        let is_here = is_here(feature);
        if column + 1 + feature.len() > LINE_WIDTH {
            text.push_str("\n\t\t");
            column = INDENTATION;
        } else {
            if is_here && !text.ends_with('\t') {
                text.push(' ');
            }
            column += 1;
        }
        if is_here {
            text.push_str(feature);
        }
        column += feature.len();
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Gives files and names of this host as the configuration leaves them.
pub fn system(config: &Config, debug: &DebugFlags) -> String {
    let value = |id| {
        let Some(value) = config.macros.get(id) else {
            return "<null>".to_owned();
        };
        let mut text = Vec::new();
        value.print(&config.names, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let files = match debug.is_on(0, 10) {
        true => format!(
            "     Conf file:\t{} (selected)\n      Pid file:\t{} (selected)\n",
            config.path.display(),
            String::from_utf8_lossy(&expanded(config, &config.options.running.pid_file)),
        ),
        false => String::new(),
    };
    format!(
        "{files}\n============ SYSTEM IDENTITY (after readcf) ============\n      \
         (short domain name) $w = {}\n  \
         (canonical domain name) $j = {}\n         \
         (subdomain name) $m = {}\n              \
         (node name) $k = {}\n\
         ========================================================\n",
        value(MacroId::W),
        value(MacroId::J),
        value(MacroId::M),
        value(MacroId::K),
    )
}

fn expanded(config: &Config, template: &Template) -> Vec<u8> {
    let mut front = MacroTable::new();
    template.expanded(&Macros::new(&mut front, None, &config.macros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_parts_is_folded() {
        let text = version(&DebugFlags::parse(b"0.1"));
        assert!(text.starts_with(&format!("Version {VERSION}\n Compiled with: DNSMAP ")));
        assert!(text.lines().all(|line| line.len() <= LINE_WIDTH));
        assert!(text.contains("\n\t\t") && text.ends_with("XDEBUG"));
        assert!(version(&DebugFlags::parse(b"0.10")).contains(" HASFLOCK"));
    }

    #[test]
    fn what_the_reference_has_more_is_not_shown_but_breaks_lines() {
        let text = version(&DebugFlags::parse(b"0.15"));
        for line in [
            "\n Compiled with: DNSMAP IPV6_FULL LDAPMAP LDAP_NETWORK_TIMEOUT\n",
            "\n\t\tLDAP_REFERRALS LOG MAP_REGEX MATCHGECOS MAXDAEMONS=64 MILTER\n",
            "\n\t\tMIME7TO8 MIME8TO7 NAMED_BIND NETINET NETINET6 NETUNIX NEWDB=5.3\n",
            "\n\t\tPIPELINING SASLv2 SCANF SOCKETMAP STARTTLS\n",
            "\n\t\tTCPWRAPPERS TLS_EC TLS_VRFY_PER_CTX USERDB USE_LDAP_INIT XDEBUG\n",
            "\n\t\tSM_CONF_STDDEF_H SM_CONF_SYS_CDEFS_H SM_CONF_UID_GID\n",
            "\n\t\tDO_NOT_USE_STRCPY SM_OS=sm_os_linux SM_VA_STD\n",
            "\n   FFR Defines: _FFR_BADRCPT_SHUTDOWN _FFR_MAIL_MACRO\n",
            "\n\t\t_FFR_NO_PIPE _FFR_QUEUE_SCHED_DBG _FFR_REJECT_NUL_BYTE\n",
            "\n\t\t_FFR_RESET_MACRO_GLOBALS _FFR_RHS _FFR_SHM_STATUS\n",
            "\n\t\t_FFR_SKIP_DOMAINS _FFR_TLS_ALTNAMES",
        ] {
            assert!(text.contains(line), "{line:?}");
        }
        for feature in FEATURES {
            assert!(FEATURES_OF_REFERENCE.contains(feature), "{feature}");
        }
    }
}
