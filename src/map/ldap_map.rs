//! Class `ldap`: a directory server.
//!
//! A connection is made when the map is opened, is kept, and serves all maps that would make the
//! same. One that a server has closed meanwhile is replaced once without a word.
//!
//! Source: guide 5.9; texts observed: 8.17.1.9.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::definition::{Details, MapDefinition};
use super::flags::MapFlags;
use super::ldap_arguments::{LdapDetails, LdapMethod, LdapServers, OBJECT_CLASS};
use super::ldap_results::{Directory, Fault, Found, Wishes, look_up};
use super::lookup::{LookupContext, LookupHost, Map, MapAnswer, STATUS_NOT_FOUND, STATUS_SOFTWARE};
use super::open::OpenFault;
use super::set::{MapServices, OPENING_TRACE_LEVEL};
use crate::ldap::client::{
    ANSWER_TIMEOUT, Account, CONNECT_TIMEOUT, ConnectFault, Connection, Following, Next,
};
use crate::ldap::filter::{encode, escape};
use crate::ldap::message::{Entry, Search};
use crate::ldap::url::{self, PORT, Place};
use crate::ldap::words::{SERVER_DOWN, TIMEOUT, words};
use crate::logging::record::{MailLog, Severity};
use crate::sys::moment::Moments;
use crate::text::bytes::{printable, shorten};

/// Most connections that wait for the next question.
const MAX_IDLE: usize = 32;
/// How long a server that could not be reached is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Version of the protocol when none is chosen. Observed: 8.17.1.9.
const USUAL_VERSION: i32 = 2;
/// Debug level of category 38 from which questions are shown.
const LOOKUP_TRACE_LEVEL: u8 = 20;
/// Longest name in the log. Observed: 8.17.1.9.
const MAX_LOGGED_NAME: usize = 100;
/// How many arguments a question has, its key counted.
const MAX_ARGUMENTS: usize = 10;

/// What two maps must have in common to share a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Likeness {
    places: Vec<Place>,
    account: Account,
    method: LdapMethod,
}

/// Connections that wait for the next question, shared by all maps.
#[derive(Default, Clone)]
pub struct LdapConnections(Arc<Mutex<Vec<(Likeness, Connection)>>>);

impl LdapConnections {
    fn take(&self, likeness: &Likeness) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().rposition(|(like, _)| like == likeness)?;
        Some(idle.swap_remove(at).1)
    }

    fn keep(&self, likeness: &Likeness, connection: Connection) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push((likeness.clone(), connection));
        }
    }

    fn has(&self, likeness: &Likeness) -> bool {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().any(|(like, _)| like == likeness)
    }
}

/// One map.
pub(super) struct LdapMap {
    name: Vec<u8>,
    flags: MapFlags,
    details: LdapDetails,
    likeness: Likeness,
    connections: LdapConnections,
    /// When the servers could not be reached.
    failed: Mutex<Option<Instant>>,
    log: MailLog,
    moments: Moments,
}

impl LdapMap {
    /// Connects, unless a connection of another map will do.
    pub(super) fn open(
        definition: &MapDefinition,
        services: &MapServices,
        host: &mut dyn LookupHost,
    ) -> Result<LdapMap, OpenFault> {
        let Details::Ldap(details) = &definition.details else {
            return Err(OpenFault);
        };
        let details = LdapDetails::clone(details);
        let password = match &details.secret_file {
            Some(path) => {
                super::ldap_secret::read(path, &*services.privileged).map_err(|_| OpenFault)?
            }
            None => Vec::new(),
        };
        let likeness = Likeness {
            places: places(&details),
            account: Account {
                version: details.version.unwrap_or(USUAL_VERSION),
                name: details.account.clone(),
                password,
            },
            // Without a name connections are alike. Observed: 8.17.1.9.
            method: match &*details.account {
                b"" => LdapMethod::Simple,
                _ => details.method,
            },
        };
        let map = LdapMap {
            name: definition.name.clone(),
            flags: definition.flags.clone(),
            details,
            likeness,
            connections: services.ldap.clone(),
            failed: Mutex::new(None),
            log: services.log.clone(),
            moments: services.moments.clone(),
        };
        map.open_connection(host)?;
        Ok(map)
    }

    fn open_connection(&self, host: &mut dyn LookupHost) -> Result<(), OpenFault> {
        let is_there = self.connections.has(&self.likeness);
        if host.trace_level() >= OPENING_TRACE_LEVEL {
            let which: &[u8] = match is_there {
                true => b"using cached connection\n",
                false => b"opening new connection\n",
            };
            host.trace(&[b"ldapmap_open(", &*self.name, b", 0): ", which].concat());
        }
        if !is_there {
            let connection = self.connect(host).map_err(|_| OpenFault)?;
            self.connections.keep(&self.likeness, connection);
        }
        Ok(())
    }

    /// Connects and binds, or complains.
    fn connect(&self, host: &mut dyn LookupHost) -> Result<Connection, ConnectFault> {
        let fault = match self.try_to_connect() {
            Ok(connection) => return Ok(connection),
            Err(fault) => fault,
        };
        let shown = match &self.details.servers {
            LdapServers::Own => b"localhost",
            LdapServers::Hosts(text) | LdapServers::Urls(text) => text.as_slice(),
        };
        if fault == ConnectFault::Timeout {
            let shown = printable(&shorten(shown, MAX_LOGGED_NAME));
            let text = format_args!("timeout connecting to LDAP server {shown}");
            self.log(2, Severity::Notice, host, text);
        }
        if !self.flags.optional {
            let reason = match &fault {
                ConnectFault::Timeout => "Connection timed out",
                ConnectFault::Refused => "Transport endpoint is not connected",
                ConnectFault::Local(reason) => reason.as_str(),
                ConnectFault::Secure => "ldaps is not supported",
                ConnectFault::Bind if self.is_method_known() => "Operation now in progress",
                ConnectFault::Bind | ConnectFault::Unknown => "",
            };
            let text = [
                b"ldap_init/ldap_bind failed to ",
                shown,
                b" in map ",
                &self.name,
            ];
            complain(host, &text.concat(), reason);
        }
        Err(fault)
    }

    fn is_method_known(&self) -> bool {
        self.details.method == LdapMethod::Simple
    }

    fn try_to_connect(&self) -> Result<Connection, ConnectFault> {
        let limit = self.network_timeout();
        if !self.is_method_known() {
            return Err(ConnectFault::Bind);
        }
        let mut connection = Connection::open(&self.likeness.places, limit)?;
        match connection.bind(&self.likeness.account, limit) {
            Ok(()) => Ok(connection),
            // Nothing is left over from connecting that could be taken for a reason.
            Err(ConnectFault::Bind) if connection.is_local() => Err(ConnectFault::Unknown),
            Err(fault) => Err(fault),
        }
    }

    fn network_timeout(&self) -> Duration {
        match u64::try_from(self.details.network_timeout) {
            Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
            _ => CONNECT_TIMEOUT,
        }
    }

    fn answer_timeout(&self) -> Duration {
        match u64::try_from(self.details.time_limit) {
            Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
            _ => ANSWER_TIMEOUT,
        }
    }

    fn log(
        &self,
        level: u8,
        severity: Severity,
        host: &dyn LookupHost,
        text: std::fmt::Arguments<'_>,
    ) {
        let id = host.queue_id();
        let id = id.as_deref().unwrap_or(b"NOQUEUE");
        self.log.syslog(level, severity, Some(id), text);
    }

    fn question(&self, key: &[u8], arguments: &[&[u8]]) -> Option<Search> {
        let details = &self.details;
        let text = filter_text(details, key, arguments);
        let mut attributes: Vec<Vec<u8>> = Vec::new();
        if !details.attributes.is_empty() {
            attributes.push(OBJECT_CLASS.to_vec());
            let is_other = |name: &&Vec<u8>| !name.eq_ignore_ascii_case(OBJECT_CLASS);
            let names = details.attributes.iter().map(|wanted| &wanted.name);
            attributes.extend(names.filter(is_other).cloned());
        }
        Some(Search {
            base: details.base.clone(),
            scope: details.scope,
            deref: details.deref,
            // Two entries tell that there is more than one. Observed: 8.17.1.9.
            size_limit: match details.single {
                true => 2,
                false => details.size_limit,
            },
            time_limit: details.time_limit,
            names_only: details.names_only,
            filter: match &*text {
                // The server says what it thinks of it.
                b"" => Vec::new(),
                text => encode(text).ok()?,
            },
            attributes,
        })
    }

    fn ask(&self, search: &Search, host: &mut dyn LookupHost) -> Result<Found, AskFault> {
        let kept = self.connections.take(&self.likeness);
        let is_fresh = kept.is_none();
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect_again(host)?,
        };
        let mut session = Session {
            map: self,
            connection,
            heard: false,
            broken: false,
        };
        let mut answer = look_up(&mut session, search, self.wishes());
        if session.broken && !session.heard && !is_fresh && answer == Err(Fault::Code(SERVER_DOWN))
        {
            session = Session {
                map: self,
                connection: self.connect_again(host)?,
                heard: false,
                broken: false,
            };
            answer = look_up(&mut session, search, self.wishes());
        }
        if !session.broken {
            self.connections.keep(&self.likeness, session.connection);
        }
        answer.map_err(AskFault::Answer)
    }

    fn connect_again(&self, host: &mut dyn LookupHost) -> Result<Connection, AskFault> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|at| at.elapsed() < RETRY_AFTER) {
            return Err(AskFault::Unreachable);
        }
        drop(failed);
        let connected = self.connect(host);
        failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        *failed = connected.is_err().then(Instant::now);
        connected.map_err(|_| AskFault::Unreachable)
    }

    fn wishes(&self) -> Wishes<'_> {
        Wishes {
            details: &self.details,
            match_only: self.flags.match_only,
            delimiter: self.flags.separator,
        }
    }

    fn trace_lookup(&self, key: &[u8], arguments: &[&[u8]], host: &mut dyn LookupHost) {
        if host.trace_level() < LOOKUP_TRACE_LEVEL {
            return;
        }
        let head = [b"ldapmap_lookup(".as_slice(), &self.name, b", "].concat();
        if !self.details.takes_arguments {
            return host.trace(&[&head, key, b")\n".as_slice()].concat());
        }
        let mut text = [&head, b"argv)\n".as_slice()].concat();
        for number in 0..MAX_ARGUMENTS {
            let argument = match number.checked_sub(1) {
                None => Some(key),
                Some(number) => arguments.get(number).copied(),
            };
            text.extend_from_slice(format!("   argv[{number}] = ").as_bytes());
            text.extend_from_slice(argument.unwrap_or(b"NULL"));
            text.push(b'\n');
        }
        host.trace(&text);
    }
}

/// Why a question had no answer.
enum AskFault {
    /// That was said already, now or lately.
    Unreachable,
    /// The answer says it.
    Answer(Fault),
}

/// A connection while one question, and what follows from it, is answered.
struct Session<'a> {
    map: &'a LdapMap,
    connection: Connection,
    /// Something was heard over the connection.
    heard: bool,
    /// The connection is of no more use.
    broken: bool,
}

impl Directory for Session<'_> {
    fn search(&mut self, search: &Search, take: &mut dyn FnMut(Entry) -> Next) -> Result<i32, i32> {
        let following = Following {
            version: self.map.likeness.account.version,
            connect: self.map.network_timeout(),
            answer: self.map.answer_timeout(),
            trail: &[],
        };
        let mut heard = false;
        let mut take = |entry: Entry| {
            heard = true;
            take(entry)
        };
        let connection = &mut self.connection;
        let answered = match self.map.details.follows_referrals {
            true => connection.search_following(search, &following, &mut take),
            false => connection.search_plainly(search, following.answer, &mut take),
        };
        self.heard |= heard;
        match answered {
            Ok(_) => self.heard = true,
            Err(_) => self.broken = true,
        }
        answered
    }
}

impl Map for LdapMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer {
        self.moments.end();
        let folded = self.flags.folded(key);
        let folded_arguments: Vec<Vec<u8>> = arguments
            .iter()
            .map(|text| self.flags.folded(text))
            .collect();
        let folded_arguments: Vec<&[u8]> = folded_arguments.iter().map(Vec::as_slice).collect();
        self.trace_lookup(key, arguments, cx.host);
        let Some(search) = self.question(&folded, &folded_arguments) else {
            if !self.flags.optional {
                let text = [b"Error in ldap_search in map ", &*self.name].concat();
                complain(cx.host, &text, words(crate::ldap::words::FILTER_ERROR));
            }
            return MapAnswer::temporary();
        };
        let found = match self.ask(&search, cx.host) {
            Ok(found) => found,
            Err(AskFault::Unreachable) => return MapAnswer::temporary(),
            Err(AskFault::Answer(fault)) => {
                let (reason, answer) = match fault {
                    Fault::Code(TIMEOUT) => ("Connection timed out", MapAnswer::temporary()),
                    Fault::Code(code) => (words(code), MapAnswer::temporary()),
                    Fault::Attribute => ("Bad address", MapAnswer::failed(STATUS_SOFTWARE)),
                };
                if !self.flags.optional {
                    let text: [&[u8]; 4] = [
                        b"Error getting LDAP results, map=",
                        &self.name,
                        b", name=",
                        key,
                    ];
                    complain(cx.host, &text.concat(), reason);
                }
                return answer;
            }
        };
        if !found.is_found {
            return MapAnswer::failed(STATUS_NOT_FOUND);
        }
        if found.value.is_none() && !self.flags.match_only {
            return MapAnswer::missing();
        }
        let shown = found.value.as_deref().unwrap_or(b"<NULL>");
        self.log(
            10,
            Severity::Info,
            cx.host,
            format_args!(
                "ldap={}, {}=>{}",
                printable(&self.name),
                printable(&shorten(key, MAX_LOGGED_NAME)),
                printable(shown)
            ),
        );
        let value = found.value.unwrap_or_default();
        if self.flags.match_only && self.details.takes_arguments {
            return MapAnswer::found(self.flags.plain_value(&folded));
        }
        MapAnswer::found(self.flags.stored_value(key, &value, arguments, cx.mode))
    }
}

/// Complains, with the reason if there is one.
fn complain(host: &mut dyn LookupHost, text: &[u8], reason: &str) {
    match reason {
        "" => host.complain(text),
        reason => host.complain_of_system(&[text, b": ", reason.as_bytes()].concat()),
    }
}

/// Puts key and arguments into the filter: `%s` as they are, `%0` to `%9` so that they mean nothing.
fn filter_text(details: &LdapDetails, key: &[u8], arguments: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::with_capacity(details.filter.len() + key.len());
    let mut octets = details.filter.iter().copied();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            text.push(octet);
            continue;
        }
        match octets.next() {
            None | Some(b'%') => text.push(b'%'),
            Some(b's') => text.extend_from_slice(key),
            Some(b'0') => text.extend(escape(key)),
            Some(digit @ b'1'..=b'9') if details.takes_arguments => {
                let argument = arguments.get(usize::from(digit - b'1'));
                text.extend(escape(argument.copied().unwrap_or_default()));
            }
            Some(other) => text.extend([b'%', other]),
        }
    }
    text
}

/// Lists the servers in the order they are tried.
fn places(details: &LdapDetails) -> Vec<Place> {
    let port = details.port.unwrap_or(PORT);
    let own = || vec![Place::Host(b"localhost".to_vec(), port)];
    let is_between = |octet: &u8| matches!(octet, b' ' | b',');
    match &details.servers {
        LdapServers::Own => own(),
        LdapServers::Hosts(text) => text
            .split(is_between)
            .filter(|host| !host.is_empty())
            .filter_map(|host| url::host_and_port(host, port))
            .collect(),
        LdapServers::Urls(text) => {
            let urls: Option<Vec<url::Url>> = text
                .split(is_between)
                .filter(|url| !url.is_empty())
                .map(url::parse)
                .collect();
            match urls {
                // The C library of the reference knows nothing better than this host when one of
                // them is no URL.
                None => own(),
                Some(urls) => urls
                    .into_iter()
                    .flat_map(|url| url.place.map_or_else(own, |place| vec![place]))
                    .collect(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(arguments: &str) -> LdapDetails {
        let mut flags = MapFlags::default();
        let line = arguments.as_bytes();
        super::super::ldap_arguments::read(b"m", line, &mut flags, &mut Vec::new()).unwrap()
    }

    fn map(arguments: &str) -> LdapMap {
        LdapMap {
            name: b"m".to_vec(),
            flags: MapFlags::default(),
            likeness: Likeness {
                places: Vec::new(),
                account: Account {
                    version: USUAL_VERSION,
                    name: Vec::new(),
                    password: Vec::new(),
                },
                method: LdapMethod::Simple,
            },
            details: details(arguments),
            connections: LdapConnections::default(),
            failed: Mutex::new(None),
            log: MailLog::new(0),
            moments: Moments::default(),
        }
    }

    #[test]
    fn keys_mean_nothing_in_a_filter_unless_they_are_wanted_so() {
        let text = |arguments: &str| {
            let text = filter_text(&details(arguments), b"a*", &[b"(b"]);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            text("-k (u=%0)(v=%s)(w=%1)(%%%x)"),
            r"(u=a\2A)(v=a*)(w=%1)(%%x)"
        );
        assert_eq!(text("-K -k (u=%0)(v=%1)(w=%2)%"), r"(u=a\2A)(v=\28b)(w=)%");
    }

    /// Serves connections one after the other: each binds, answers so many questions, and ends.
    fn serve(listener: std::os::unix::net::UnixListener, questions: &'static [usize]) {
        use std::io::{Read, Write};
        std::thread::spawn(move || {
            for &count in questions {
                let Ok((mut stream, _)) = listener.accept() else {
                    return;
                };
                let mut buffer = [0; 1024];
                for number in 0..=count {
                    // Requests are numbered from 1 on; the first one binds.
                    let id = u8::try_from(number + 1).unwrap();
                    assert!(stream.read(&mut buffer).unwrap() > 0);
                    let tag = if number == 0 { 0x61 } else { 0x65 };
                    let said = [0x30, 12, 2, 1, id, tag, 7, 10, 1, 0, 4, 0, 4, 0];
                    stream.write_all(&said).unwrap();
                }
            }
        });
    }

    #[test]
    fn a_connection_is_kept_and_replaced_once_when_it_was_closed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ldapi");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // The third connection ends right behind its binding, and there is no fourth.
        serve(listener, &[2, 1, 0]);
        let mut map = map("-k (u=%0) -v mail");
        map.likeness.places = vec![Place::Local(path.to_str().unwrap().into())];
        let search = map.question(b"x", &[]).unwrap();
        let mut host = crate::map::NoHost;
        let mut ask = || match map.ask(&search, &mut host) {
            Ok(found) => format!("{}", found.is_found),
            Err(AskFault::Answer(fault)) => format!("{fault:?}"),
            Err(AskFault::Unreachable) => "unreachable".to_owned(),
        };
        let answers = [ask(), ask(), ask(), ask(), ask(), ask()];
        // A fresh connection that breaks is no reason to try again at once; then nobody listens,
        // and that is remembered.
        let wanted = [
            "false",
            "false",
            "false",
            "Code(-1)",
            "unreachable",
            "unreachable",
        ];
        assert_eq!(answers, wanted);
        assert!(map.failed.lock().unwrap().is_some());
    }

    #[test]
    fn limits_are_those_of_the_line() {
        let limited = map("-k (u=%0) -l 5 -c 7 -Z 9 -v mail");
        assert_eq!(limited.answer_timeout(), Duration::from_secs(5));
        assert_eq!(limited.network_timeout(), Duration::from_secs(7));
        let search = limited.question(b"x", &[]).unwrap();
        assert_eq!((search.time_limit, search.size_limit), (5, 9));
        assert_eq!(search.attributes, [OBJECT_CLASS, b"mail"]);
        let plain = map("-k (u=%0) -l -5 -1");
        assert_eq!(plain.answer_timeout(), ANSWER_TIMEOUT);
        assert_eq!(plain.network_timeout(), CONNECT_TIMEOUT);
        assert_eq!(plain.question(b"x", &[]).unwrap().size_limit, 2);
        assert!(map("-k (u=%s").question(b"x", &[]).is_none());
    }

    #[test]
    fn servers_are_tried_in_the_order_they_are_named() {
        let host = |name: &[u8], port| Place::Host(name.to_vec(), port);
        let found = |arguments: &str| places(&details(&format!("-k x {arguments}")));
        assert_eq!(found(""), [host(b"localhost", 389)]);
        assert_eq!(found("-p 9"), [host(b"localhost", 9)]);
        assert_eq!(
            found("-h \"a b:7,c\" -p 9"),
            [host(b"a", 9), host(b"b", 7), host(b"c", 9)]
        );
        let local = Place::Local(b"/x".to_vec());
        assert_eq!(found("-H ldapi://%2fx,ldap://a"), [local, host(b"a", 389)]);
        assert_eq!(found("-H http://a"), [host(b"localhost", 389)]);
    }
}
