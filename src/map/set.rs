//! All maps of one configuration.
//!
//! A map is opened when it is asked for the first time, and stays open. One that
//! cannot be opened complains once and then answers "try again later"; an
//! optional one (`-o`) stays closed and finds nothing.
//!
//! Source: guide 5.9; observed: 8.17.1.9.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::class::MapClass;
use super::definition::{Details, MapDefinition};
use super::ldap_map::LdapConnections;
use super::lookup::{
    LookupContext, LookupHost, LookupMode, Map, MapAnswer, RuleAnswer, STATUS_NOT_FOUND, STATUS_OK,
};
use super::open::{OpenFault, open_map};
use super::switch::services_of;
use super::userdb::Userdb;
use crate::dns::resolver::Resolver;
use crate::logging::record::MailLog;
use crate::sys::identity::{Credentials, UserDatabase};
use crate::sys::moment::Moments;
use crate::sys::privilege::Privileged;
use crate::sys::safe_open::OpenRules;
use crate::text::bytes::shorten;
use crate::text::quoted::strip_quotes;
use crate::token::buffer::{HASH_START, hash_more};

/// Deepest sequence of sequences; the reference has no limit and dies of one that holds itself.
const MAX_DEPTH: usize = 12;
/// How long a map that could not be opened is left alone. A daemon lives long, and the file
/// may have come meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Debug level of category 38 from which opening a map is shown.
pub(super) const OPENING_TRACE_LEVEL: u8 = 2;
/// Longest part of a key in a deferral's reason. Observed: 8.17.1.9.
const MAX_SHOWN_KEY: usize = 203;

/// Index of one map in its [`MapSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapId(u16);

/// What map classes need from the rest of the house.
#[derive(Clone)]
pub struct MapServices {
    /// Asks name servers and the hosts file.
    pub resolver: Arc<dyn Resolver>,
    /// Knows the password file.
    pub users: Arc<dyn UserDatabase>,
    /// Opens files and runs programs.
    pub privileged: Arc<dyn Privileged>,
    /// What makes a map file unfit; start from [`MapServices::MAP_FILE_RULES`].
    pub file_rules: OpenRules,
    /// What makes an alias text unfit; start from [`MapServices::ALIAS_FILE_RULES`].
    pub alias_file_rules: OpenRules,
    /// How long to wait for a database that is being rebuilt (AliasWait).
    pub alias_wait: Duration,
    /// The mail log.
    pub log: MailLog,
    /// `ServiceSwitchFile`.
    pub service_switch_file: PathBuf,
    /// Whose rights programs of class `program` have (DefaultUser); none: those of the process.
    pub program_user: Option<Credentials>,
    /// The specifications of option AliasFile, in order: the maps behind `aliases`.
    pub aliases: Vec<MapDefinition>,
    /// The user database (UserDatabaseSpec).
    pub userdb: Arc<Userdb>,
    /// Connections to directory servers.
    pub ldap: LdapConnections,
    /// How often files are looked at.
    pub moments: Moments,
}

impl MapServices {
    /// What makes a map file unfit when DontBlameSendmail says nothing.
    pub const MAP_FILE_RULES: OpenRules = OpenRules::REGULAR_ONLY
        .with(OpenRules::NO_GROUP_WRITABLE_DIRECTORY)
        .with(OpenRules::NO_WORLD_WRITABLE_DIRECTORY)
        .with(OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY);
    /// What makes an alias text unfit when DontBlameSendmail says nothing.
    pub const ALIAS_FILE_RULES: OpenRules = OpenRules::REGULAR_ONLY
        .with(OpenRules::NO_GROUP_WRITABLE_FILE)
        .with(OpenRules::NO_WORLD_WRITABLE_FILE)
        .with(OpenRules::NO_LINK_IN_WRITABLE_DIRECTORY);

    /// Starts from services with the usual file rules, no log, no alias files and no user database.
    pub fn bare(
        resolver: Arc<dyn Resolver>,
        users: Arc<dyn UserDatabase>,
        privileged: Arc<dyn Privileged>,
    ) -> MapServices {
        MapServices {
            resolver,
            users,
            privileged,
            file_rules: Self::MAP_FILE_RULES,
            alias_file_rules: Self::ALIAS_FILE_RULES,
            alias_wait: Duration::ZERO,
            log: MailLog::new(0),
            service_switch_file: PathBuf::from("/nonexistent"),
            program_user: None,
            aliases: Vec::new(),
            userdb: Arc::default(),
            ldap: LdapConnections::default(),
            moments: Moments::default(),
        }
    }

    /// Says whether a map is one of the alias databases.
    pub(super) fn is_alias_map(&self, definition: &MapDefinition) -> bool {
        self.aliases
            .iter()
            .any(|alias| alias.name == definition.name)
    }
}

/// What became of a map when it was needed first.
enum State {
    /// It answers.
    Open(Box<dyn Map>),
    /// Its members answer, in this order.
    Members(Vec<MapId>),
    /// It answers "later" to everything.
    Broken,
    /// It was refused by its class, or is optional and not there.
    Closed,
}

/// A state and when it was found.
struct Found {
    state: Arc<State>,
    at: Instant,
}

impl Found {
    /// Says whether opening may end otherwise by now.
    fn is_outdated(&self) -> bool {
        let may_change = match &*self.state {
            State::Open(map) => map.is_makeshift(),
            State::Members(_) => false,
            State::Broken | State::Closed => true,
        };
        may_change && self.at.elapsed() >= RETRY_AFTER
    }
}

struct Entry {
    definition: MapDefinition,
    /// Written by whoever needs the map first, and by whoever tries again.
    found: RwLock<Option<Found>>,
}

/// All maps of one configuration, opened on first use.
pub struct MapSet {
    entries: Vec<Entry>,
    /// A number for each name, so that few names are compared, and the latest map of that name.
    names: Vec<(u32, MapId)>,
    services: MapServices,
}

impl MapSet {
    /// Makes the set; no file is opened yet.
    ///
    /// Holds the built-in maps `host`, `aliases`, `aliases.files`, `users` and `users.files` as
    /// well; a definition of the same name takes the place of a built-in one.
    pub fn new(definitions: &[MapDefinition], services: MapServices) -> MapSet {
        let aliases = services.aliases.clone();
        let mut set = MapSet {
            entries: Vec::new(),
            names: Vec::new(),
            services,
        };
        let members: Vec<Vec<u8>> = aliases.iter().map(|map| map.name.clone()).collect();
        for alias in aliases {
            set.add(alias);
        }
        for definition in built_in(members) {
            set.add(definition);
        }
        for definition in definitions {
            set.add(definition.clone());
        }
        set
    }

    /// Says whether `name` is built in, so that a sequence may name it.
    pub fn is_built_in(name: &[u8]) -> bool {
        built_in(Vec::new())
            .iter()
            .any(|map| map.name.eq_ignore_ascii_case(name))
    }

    fn add(&mut self, definition: MapDefinition) {
        // More maps than fit cannot be named; nobody has so many.
        let Ok(index) = u16::try_from(self.entries.len()) else {
            return;
        };
        if let Some(known) = self.find(&definition.name) {
            self.names.retain(|&(_, id)| id != known);
        }
        let number = hash_more(HASH_START, &definition.name);
        self.names.push((number, MapId(index)));
        self.entries.push(Entry {
            definition,
            found: RwLock::new(None),
        });
    }

    /// Returns what the maps work with.
    pub fn services(&self) -> &MapServices {
        &self.services
    }

    /// Finds a map by its name, letter case ignored.
    pub fn find(&self, name: &[u8]) -> Option<MapId> {
        self.find_hashed(name, hash_more(HASH_START, name))
    }

    /// Finds a map whose name has this case-folding hash.
    pub(crate) fn find_hashed(&self, name: &[u8], number: u32) -> Option<MapId> {
        let same = |&&(hash, id): &&(u32, MapId)| {
            hash == number && self.name(id).eq_ignore_ascii_case(name)
        };
        self.names.iter().find(same).map(|&(_, id)| id)
    }

    /// Returns all maps, built-in ones first, then in the order of their definitions.
    pub fn ids(&self) -> impl Iterator<Item = MapId> {
        (0..self.entries.len())
            .filter_map(|index| u16::try_from(index).ok())
            .map(MapId)
    }

    /// Returns the definition of a map.
    pub fn definition(&self, id: MapId) -> &MapDefinition {
        &self.entry(id).definition
    }

    /// Returns the name of a map, as written.
    pub fn name(&self, id: MapId) -> &[u8] {
        &self.definition(id).name
    }

    /// Returns the octet flag `-S` puts between the words of a key instead of a space.
    pub fn space_substitute(&self, id: MapId) -> Option<u8> {
        self.definition(id).flags.space
    }

    /// Says whether flag `-q` leaves the quotes of a key in place.
    pub fn keeps_quotes(&self, id: MapId) -> bool {
        self.definition(id).flags.keep_quotes
    }

    /// Says whether flag `-D` keeps this map from being asked in delivery mode `defer`.
    pub fn waits_when_deferred(&self, id: MapId) -> bool {
        self.definition(id).flags.not_when_deferred
    }

    /// Opens a map if that was not tried yet; says whether it can be asked.
    ///
    /// A map that cannot be opened and is not optional counts as open: it answers "later".
    pub fn open(&self, id: MapId, host: &mut dyn LookupHost) -> bool {
        !matches!(*self.state(id, host), State::Closed)
    }

    /// Asks one map and tells all it said: for `/map` of test mode.
    pub fn ask(
        &self,
        id: MapId,
        key: &[u8],
        arguments: &[&[u8]],
        cx: &mut LookupContext<'_>,
    ) -> MapAnswer {
        self.ask_at(id, &mut Cow::Borrowed(key), arguments, cx, 0)
    }

    /// Asks one map as `$( $)` does.
    ///
    /// Quotes of the key are stripped unless the map keeps them; flags `-t`, `-T` and `-D` are
    /// taken care of.
    pub fn lookup(
        &self,
        id: MapId,
        key: &[u8],
        arguments: &[&[u8]],
        cx: &mut LookupContext<'_>,
    ) -> RuleAnswer {
        let flags = &self.definition(id).flags;
        let key = match flags.keep_quotes {
            true => Cow::Borrowed(key),
            false => strip_quotes(key),
        };
        let raw = if flags.not_when_deferred && cx.mode == LookupMode::Deferred {
            MapAnswer::temporary()
        } else {
            self.ask(id, &key, arguments, cx)
        };
        let mut replaced = None;
        let mut deferred = None;
        if raw.is_temporary() {
            if !flags.never_defers {
                deferred = Some(self.deferral(id, &key));
            }
            if let Some(suffix) = &flags.failure_suffix {
                replaced = Some([&key, suffix.as_slice()].concat());
            }
        }
        RuleAnswer {
            raw,
            replaced,
            deferred,
        }
    }

    fn deferral(&self, id: MapId, key: &[u8]) -> Vec<u8> {
        let name = self.name(id);
        let name = name.get(..80).unwrap_or(name);
        [
            name,
            b" map: lookup (",
            &shorten(key, MAX_SHOWN_KEY),
            b"): deferred",
        ]
        .concat()
    }

    fn entry(&self, id: MapId) -> &Entry {
        &self.entries[usize::from(id.0)]
    }

    fn state(&self, id: MapId, host: &mut dyn LookupHost) -> Arc<State> {
        let entry = self.entry(id);
        let found = entry.found.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found.as_ref().filter(|found| !found.is_outdated()) {
            return Arc::clone(&found.state);
        }
        drop(found);
        // Two threads may open at the same time; either result will do.
        let state = Arc::new(self.first_use(&entry.definition, host));
        *entry.found.write().unwrap_or_else(PoisonError::into_inner) = Some(Found {
            state: Arc::clone(&state),
            at: Instant::now(),
        });
        state
    }

    fn first_use(&self, definition: &MapDefinition, host: &mut dyn LookupHost) -> State {
        if !definition.valid {
            return State::Closed;
        }
        match &definition.details {
            Details::Members(members) => {
                let found = members.iter().filter_map(|member| self.find(member));
                return State::Members(found.collect());
            }
            _ if definition.class == MapClass::Switch => return self.switch(definition, host),
            _ => {}
        }
        let opened = open_map(definition, &self.services, host);
        trace_opening(definition, opened.is_ok(), host);
        match opened {
            Ok(map) => State::Open(map),
            Err(OpenFault) if definition.flags.optional => State::Closed,
            Err(OpenFault) => State::Broken,
        }
    }

    /// Members of a switch are called after the switch and the service, as `aliases.files`.
    fn switch(&self, definition: &MapDefinition, host: &mut dyn LookupHost) -> State {
        let file = &self.services.service_switch_file;
        let Some(services) = services_of(&definition.file, file) else {
            return if definition.flags.optional {
                State::Closed
            } else {
                State::Broken
            };
        };
        let mut members = Vec::new();
        for service in services {
            let member = [&definition.name, b".".as_slice(), &service].concat();
            match self.find(&member) {
                Some(id) => members.push(id),
                None => host.complain(
                    &[
                        b"Switch map ",
                        &*definition.name,
                        b": unknown member map ",
                        &member,
                    ]
                    .concat(),
                ),
            }
        }
        State::Members(members)
    }

    fn ask_at(
        &self,
        id: MapId,
        key: &mut Cow<'_, [u8]>,
        arguments: &[&[u8]],
        cx: &mut LookupContext<'_>,
        depth: usize,
    ) -> MapAnswer {
        match &*self.state(id, cx.host) {
            State::Open(map) => {
                let answer = map.lookup(key, arguments, cx);
                if depth > 0
                    && answer.value.is_none()
                    && let Some(left) = map.key_left(key)
                {
                    *key = Cow::Owned(left);
                }
                answer
            }
            State::Members(members) => {
                if depth >= MAX_DEPTH {
                    return MapAnswer::temporary();
                }
                // The last member that is open says why nothing was found, but a member that
                // may answer later goes before. Observed: 8.17.1.9.
                let mut answer = MapAnswer::failed(STATUS_NOT_FOUND);
                for &member in members {
                    if !self.open(member, cx.host) {
                        continue;
                    }
                    let said = self.ask_at(member, key, arguments, cx, depth + 1);
                    if said.value.is_some() {
                        return said;
                    }
                    if !answer.is_temporary() {
                        let has_reason = said.status != STATUS_OK;
                        answer.status = if has_reason {
                            said.status
                        } else {
                            STATUS_NOT_FOUND
                        };
                    }
                }
                answer
            }
            State::Broken => MapAnswer::temporary(),
            State::Closed => MapAnswer::failed(STATUS_NOT_FOUND),
        }
    }
}

fn trace_opening(definition: &MapDefinition, is_open: bool, host: &mut dyn LookupHost) {
    if host.trace_level() < OPENING_TRACE_LEVEL {
        return;
    }
    let file: &[u8] = if definition.file.is_empty() {
        b"NULL"
    } else {
        &definition.file
    };
    let outcome: &[u8] = if is_open {
        b": valid\n"
    } else {
        b": invalid\n"
    };
    let class = definition.class.name().as_bytes();
    host.trace(
        &[
            b"openmap()\t",
            class,
            b":",
            &definition.name,
            b" ",
            file,
            outcome,
        ]
        .concat(),
    );
}

/// The maps every configuration has.
///
/// The host map appends a dot, which says that the name is canonical. Source: guide 5.9.
fn built_in(alias_maps: Vec<Vec<u8>>) -> Vec<MapDefinition> {
    let of_class = |name: &[u8], class, arguments: &[u8]| {
        MapDefinition::of_class(name, class, arguments, &|_| true, &mut Vec::new())
    };
    let mut alias_files = of_class(b"aliases.files", MapClass::Sequence, b"");
    alias_files.details = Details::Members(alias_maps);
    vec![
        of_class(b"host", MapClass::Host, b"-a. -D"),
        alias_files,
        of_class(b"aliases", MapClass::Switch, b"aliases"),
        of_class(b"users.files", MapClass::User, b""),
        of_class(b"users", MapClass::Switch, b"-o passwd"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;
    use crate::map::berkeley::{Layout, Repeated, Table};
    use crate::sys::identity::FixedUsers;
    use crate::sys::privilege::Unprivileged;

    #[derive(Default)]
    struct Heard(Vec<String>);

    impl LookupHost for Heard {
        fn set_macro(&mut self, name: &[u8], value: Option<&[u8]>) -> bool {
            let value = value.map(String::from_utf8_lossy);
            self.0
                .push(format!("{}={value:?}", String::from_utf8_lossy(name)));
            true
        }

        fn complain(&mut self, text: &[u8]) {
            self.0.push(String::from_utf8_lossy(text).into_owned());
        }
    }

    fn set(lines: &[String]) -> MapSet {
        let mut definitions: Vec<MapDefinition> = Vec::new();
        for line in lines {
            let known = |name: &[u8]| definitions.iter().any(|map| map.name == name);
            let definition = MapDefinition::parse(line.as_bytes(), &known, &mut Vec::new());
            definitions.push(definition.unwrap());
        }
        let services = MapServices {
            file_rules: OpenRules::NONE,
            alias_file_rules: OpenRules::NONE,
            ..MapServices::bare(
                Arc::new(FixedResolver::default()),
                Arc::new(FixedUsers::new().user("root", 0)),
                Arc::new(Unprivileged),
            )
        };
        MapSet::new(&definitions, services)
    }

    fn ask(set: &MapSet, name: &str, key: &str, heard: &mut Heard) -> RuleAnswer {
        let mut cx = LookupContext {
            host: heard,
            mode: LookupMode::Usual,
        };
        set.lookup(
            set.find(name.as_bytes()).unwrap(),
            key.as_bytes(),
            &[b"one"],
            &mut cx,
        )
    }

    fn value(set: &MapSet, name: &str, key: &str) -> Option<String> {
        let answer = ask(set, name, key, &mut Heard::default());
        answer
            .into_value()
            .map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn files_answer_and_are_opened_again_when_they_are_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("m");
        let write = |value: &str| {
            let mut table = Table::new(Layout::Hash, false);
            table.insert(b"key".to_vec(), value.into(), Repeated::Refuse);
            let fresh = place.path().join("fresh");
            table
                .write([1; 20], &mut std::fs::File::create(&fresh).unwrap())
                .unwrap();
            std::fs::rename(&fresh, path.with_extension("db")).unwrap();
        };
        write("first %1");
        let path_text = path.display();
        let set = set(&[
            format!("h hash -a<OK> {path_text}"),
            format!("f hash -f {path_text}"),
            format!("m hash -m {path_text}"),
            "none null".to_owned(),
            "all sequence none h".to_owned(),
        ]);
        assert_eq!(value(&set, "h", "KEY").as_deref(), Some("first one<OK>"));
        assert_eq!(
            value(&set, "h", "\"key\"").as_deref(),
            Some("first one<OK>")
        );
        assert_eq!(value(&set, "f", "KEY"), None);
        assert_eq!(value(&set, "m", "Key").as_deref(), Some("Key"));
        assert_eq!(value(&set, "all", "key").as_deref(), Some("first one<OK>"));
        write("second");
        assert_eq!(value(&set, "h", "key").as_deref(), Some("second<OK>"));
    }

    #[test]
    fn a_missing_file_complains_once_and_defers() {
        let set = set(&[
            "gone hash /nonexistent/x".to_owned(),
            "app text -T<T> /nonexistent/x".to_owned(),
            "quiet hash -o /nonexistent/x".to_owned(),
            "soft hash -t /nonexistent/x".to_owned(),
        ]);
        let mut heard = Heard::default();
        let answer = ask(&set, "gone", "k", &mut heard);
        assert_eq!(answer.deferred.unwrap(), b"gone map: lookup (k): deferred");
        ask(&set, "gone", "k", &mut heard);
        let text =
            "hash map \"gone\": missing map file /nonexistent/x.db: No such file or directory";
        assert_eq!(heard.0, [text]);
        let answer = ask(&set, "app", "k", &mut heard);
        assert!(answer.deferred.is_some());
        assert_eq!(answer.into_value().as_deref(), Some(b"k<T>".as_slice()));
        let answer = ask(&set, "quiet", "k", &mut heard);
        assert_eq!(
            (&answer.deferred, answer.clone().into_value()),
            (&None, None)
        );
        assert!(!set.open(set.find(b"quiet").unwrap(), &mut heard));
        assert_eq!(ask(&set, "soft", "k", &mut heard).deferred, None);
    }

    #[test]
    fn classes_without_files_answer() {
        let set = set(&[
            "s macro".to_owned(),
            "u user".to_owned(),
            "a arpa -a.".to_owned(),
            "loop sequence loop".to_owned(),
        ]);
        let mut heard = Heard::default();
        assert_eq!(ask(&set, "s", "{x}", &mut heard).into_value().unwrap(), b"");
        assert_eq!(heard.0, ["{x}=Some(\"one\")"]);
        assert_eq!(value(&set, "u", "Root").as_deref(), Some("root"));
        assert_eq!(value(&set, "a", "1.2.3.4").as_deref(), Some("4.3.2.1."));
        assert_eq!(value(&set, "loop", "x"), None);
        assert_eq!(value(&set, "host", "nowhere.test"), None);
    }

    #[test]
    fn of_a_sequence_the_last_open_member_says_why_there_is_nothing() {
        let place = tempfile::tempdir().unwrap();
        let text = place.path().join("t");
        std::fs::write(&text, ":nameless\nx:y\n").unwrap();
        let missing = place.path().join("m").display().to_string();
        let set = set(&[
            "ari arith".to_owned(),
            format!("tex text -z: -v1 {}", text.display()),
            format!("opt hash -o {missing}"),
            format!("bro hash {missing}"),
            "reg regex ^q$".to_owned(),
            "s1 sequence tex ari".to_owned(),
            "s2 sequence ari tex".to_owned(),
            "s3 sequence ari opt".to_owned(),
            "s4 sequence ari reg".to_owned(),
            "s5 sequence bro ari".to_owned(),
        ]);
        for (name, status) in [("s1", 78), ("s2", 68), ("s3", 78), ("s4", 68), ("s5", 75)] {
            let answer = ask(&set, name, "nothing", &mut Heard::default());
            assert_eq!(answer.raw.status, status, "{name}");
        }
        // An empty column is no key, and arith knows no suffix.
        assert_eq!(value(&set, "tex", ""), None);
        assert_eq!(value(&set, "tex", "x").as_deref(), Some("y"));
    }
}
