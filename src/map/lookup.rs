//! One map lookup: the trait of all classes, its question and its answers.
//!
//! A class answers with a [`MapAnswer`]: a value or none, and the exit status
//! number that address test mode prints behind it. [`crate::map::MapSet`] adds
//! what that means inside a rule: the [`RuleAnswer`].
//!
//! Source: guide 5.9; the numbers observed: 8.17.1.9.

/// Sysexits number of a lookup that went well, with or without a value.
pub const STATUS_OK: u8 = 0;
/// Sysexits number: the key is no good for this class.
pub const STATUS_DATA: u8 = 65;
/// Sysexits number: there is no such user.
pub const STATUS_NO_USER: u8 = 67;
/// Sysexits number of most classes for a key that is not there.
pub const STATUS_NOT_FOUND: u8 = 68;
/// Sysexits number of a program that could not be run to its end.
pub const STATUS_UNAVAILABLE: u8 = 69;
/// Sysexits number of an answer that cannot be made sense of.
pub const STATUS_SOFTWARE: u8 = 70;
/// Sysexits number of a server that does not keep to the protocol.
pub const STATUS_PROTOCOL: u8 = 76;
/// Sysexits number of a lookup that may succeed later.
pub const STATUS_TEMPORARY: u8 = 75;
/// Sysexits number of a lookup that can never succeed.
pub const STATUS_CONFIG: u8 = 78;

/// Answers questions of one K line.
pub trait Map: Send + Sync {
    /// Looks `key` up; `arguments` are what `$@` handed over in the rule.
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], cx: &mut LookupContext<'_>) -> MapAnswer;

    /// Returns what a key that was not found here is for later members of a sequence, if that is another.
    ///
    /// Observed: 8.17.1.9 works on the key in place.
    fn key_left(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// Says whether this is a makeshift that is to be opened again after a while.
    fn is_makeshift(&self) -> bool {
        false
    }
}

/// What a lookup may see and change besides its key.
pub struct LookupContext<'a> {
    /// The caller, as far as maps need it.
    pub host: &'a mut dyn LookupHost,
    /// Says whether maps with flag `-D` must keep still.
    pub mode: LookupMode,
}

/// What the caller of a lookup offers to the maps.
pub trait LookupHost {
    /// Sets the macro `name` (written `x` or `{long}`), or removes it; says whether that is a macro name.
    ///
    /// Maps of class `macro` call it.
    fn set_macro(&mut self, name: &[u8], value: Option<&[u8]>) -> bool;

    /// Takes an error message, as when a map file is missing.
    ///
    /// The reference prints it in test mode and logs it in the daemon.
    fn complain(&mut self, text: &[u8]) {
        log::error!("{}", crate::text::bytes::printable(text));
    }

    /// Takes an error message that ends with the system's reason.
    ///
    /// The exit status of a program tells the difference.
    fn complain_of_system(&mut self, text: &[u8]) {
        self.complain(text);
    }

    /// Returns the id of the message at hand, which lines of the log begin with.
    fn queue_id(&self) -> Option<Vec<u8>> {
        None
    }

    /// Returns the debug level of category 38, 0 if it is off.
    fn trace_level(&self) -> u8 {
        0
    }

    /// Takes debug output, line ends included.
    fn trace(&mut self, _text: &[u8]) {}

    /// Takes a remark for those who watch (`-v`, test mode).
    fn narrate(&mut self, _text: &[u8]) {}

    /// Takes the line that sums up an alias text that was just read.
    fn summarize(&mut self, text: &[u8]) {
        self.narrate(text);
    }

    /// Judges the left-hand side of an alias while a text alias file is read.
    ///
    /// Errors of its syntax are reported by the judge, with `place` (file and line) in front.
    fn judge_alias(&mut self, _place: &[u8], name: &[u8]) -> AliasName {
        AliasName::presumably_local(name)
    }
}

/// What the left-hand side of an alias is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasName {
    /// A name of this host; it may be aliased.
    Local {
        /// The name as it becomes a key.
        user: Vec<u8>,
        /// The address as it is shown.
        shown: Vec<u8>,
    },
    /// It resolves to a mailer without flag `A`. Holds the address as it is shown.
    NotLocal(Vec<u8>),
    /// It is no address; the reason was reported already.
    Unparsable,
}

impl AliasName {
    /// Takes a name for a local one without asking the rules.
    pub fn presumably_local(name: &[u8]) -> AliasName {
        match name.trim_ascii() {
            [] => AliasName::Unparsable,
            name => AliasName::Local {
                user: name.to_vec(),
                shown: name.to_vec(),
            },
        }
    }
}

/// A host that forgets macros and logs complaints.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoHost;

impl LookupHost for NoHost {
    fn set_macro(&mut self, _name: &[u8], _value: Option<&[u8]>) -> bool {
        true
    }
}

/// Whether the message in hand is in delivery mode `defer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupMode {
    /// All maps answer.
    Usual,
    /// Maps with flag `-D` are not asked.
    Deferred,
    /// Aliases are looked up: all maps answer, and values come as they are stored.
    Aliases,
}

/// What a map class says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapAnswer {
    /// The value found, already with `-a`, `-m` and `%0` to `%9` applied.
    pub value: Option<Vec<u8>>,
    /// The sysexits number that `/map` prints in parentheses.
    pub status: u8,
}

impl MapAnswer {
    /// A key that was found.
    pub fn found(value: impl Into<Vec<u8>>) -> Self {
        MapAnswer {
            value: Some(value.into()),
            status: STATUS_OK,
        }
    }

    /// A key that is not there.
    pub fn missing() -> Self {
        MapAnswer {
            value: None,
            status: STATUS_OK,
        }
    }

    /// No value, with the sysexits number `status`.
    pub fn failed(status: u8) -> Self {
        MapAnswer {
            value: None,
            status,
        }
    }

    /// Nobody knows now; try later.
    pub fn temporary() -> Self {
        MapAnswer::failed(STATUS_TEMPORARY)
    }

    /// Says whether the same question may get another answer later.
    pub fn is_temporary(&self) -> bool {
        self.status == STATUS_TEMPORARY
    }
}

/// A lookup whose miss must not be taken for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapFailure {
    /// The message must be tried again; `text` is the reason the queue shows.
    Temporary {
        /// The reason.
        text: Vec<u8>,
    },
}

/// What a lookup means inside a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAnswer {
    /// What the map itself said, for the traces.
    pub raw: MapAnswer,
    /// What flag `-T` or `-t` puts in the place of what the map said.
    pub replaced: Option<Vec<u8>>,
    /// The message must wait, although rewriting goes on; the text is the reason the queue shows.
    pub deferred: Option<Vec<u8>>,
}

impl RuleAnswer {
    /// Returns the text that takes the place of the key; none: use the default, or the key.
    pub fn into_value(self) -> Option<Vec<u8>> {
        self.replaced.or(self.raw.value)
    }
}
