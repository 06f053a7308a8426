//! One problem of a configuration: where, how bad, what, and what to do.

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The program refuses the line, or mail that comes there fails.
    Error,
    /// It works, but hardly as it was meant.
    Warning,
    /// Worth a look.
    Hint,
}

impl Severity {
    /// Returns the word of the report.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $severity:ident;)*) => {
        /// What kind of problem one is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// Returns the name programs know the code by; it never changes.
            pub fn slug(self) -> &'static str {
                match self { $(Code::$name => $slug,)* }
            }

            /// Returns how bad problems of this kind are, unless one says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    /// The file cannot be read.
    Unreadable = "unreadable", Error;
    /// A line no command letter begins.
    UnknownLine = "unknown-line", Error;
    /// A line its command cannot make sense of.
    Syntax = "syntax", Error;
    /// No V line.
    VersionMissing = "version-missing", Warning;
    /// A V line of an older or newer program.
    Version = "version", Warning;
    /// A V line that is none, or of a level nobody knows.
    BadVersion = "bad-version", Error;
    /// An option nobody knows.
    UnknownOption = "unknown-option", Error;
    /// The beginning of an option's name.
    AbbreviatedOption = "abbreviated-option", Warning;
    /// A value an option does not take.
    BadValue = "bad-value", Error;
    /// A value that counts as false and does not say so.
    BadBoolean = "bad-boolean", Warning;
    /// A value that is no number.
    BadNumber = "bad-number", Warning;
    /// A value that is no interval.
    BadInterval = "bad-interval", Warning;
    /// Options that do not fit together.
    OptionConflict = "option-conflict", Warning;
    /// A name of a macro or class that is none.
    BadName = "bad-name", Error;
    /// A macro that is used and never set.
    UndefinedMacro = "undefined-macro", Warning;
    /// A class that is used and never filled.
    EmptyClass = "empty-class", Hint;
    /// Words of a class that cannot be read.
    ClassSource = "class-source", Error;
    /// A name of a ruleset that is none, or that has a number already.
    BadRulesetName = "bad-ruleset-name", Error;
    /// A ruleset that is called and never defined.
    UndefinedRuleset = "undefined-ruleset", Error;
    /// A ruleset nobody calls, named nearly as a hook.
    MisspeltHook = "misspelt-hook", Warning;
    /// A rule before the first S line.
    RuleOutside = "rule-outside", Error;
    /// A rule that does not compile.
    BadRule = "bad-rule", Error;
    /// `$9` where the left side has fewer wildcards.
    BadPosition = "bad-position", Error;
    /// A rule that can never match.
    DeadRule = "dead-rule", Warning;
    /// A rule that always matches its own result.
    EndlessRule = "endless-rule", Error;
    /// A mailer that rules name and nobody defines.
    UndefinedMailer = "undefined-mailer", Error;
    /// An M line that gives no mailer.
    BadMailer = "bad-mailer", Error;
    /// A field of an M, Q or X line nobody knows.
    UnknownField = "unknown-field", Error;
    /// A flag of a mailer nobody knows.
    UnknownMailerFlag = "unknown-mailer-flag", Warning;
    /// No mailer `local`.
    NoLocalMailer = "no-local-mailer", Error;
    /// A user or group nobody knows.
    UnknownUser = "unknown-user", Error;
    /// A program that is not there.
    MissingProgram = "missing-program", Warning;
    /// A map that rules ask and nobody defines.
    UndefinedMap = "undefined-map", Error;
    /// A class of maps nobody knows.
    UnknownMapClass = "unknown-map-class", Error;
    /// A flag its map does not know.
    UnknownMapFlag = "unknown-map-flag", Error;
    /// A K line that gives no map.
    BadMap = "bad-map", Error;
    /// A file of a map or of aliases that is not there.
    MissingMapFile = "missing-map-file", Warning;
    /// A database that is older than its text.
    StaleMapFile = "stale-map-file", Warning;
    /// A file or directory others may change.
    UnsafeFile = "unsafe-file", Error;
    /// A directory of the queue that is not there.
    MissingQueue = "missing-queue", Warning;
    /// A Q line that gives no queue group.
    BadQueueGroup = "bad-queue-group", Error;
    /// An X line that gives no filter.
    BadFilter = "bad-filter", Error;
    /// A later definition takes the place of an earlier one.
    Redefined = "redefined", Hint;
    /// This host has no full name.
    HostName = "host-name", Warning;
    /// Something this program does not do.
    MissingFeature = "missing-feature", Warning;
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, from one on; zero means the file as a whole.
    pub line: u32,
    /// Column in octets, from one on.
    pub column: u32,
    /// How many octets are to be underlined.
    pub length: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

/// A piece of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from one on; zero means the file as a whole.
    pub line: u32,
    /// Column in octets, from one on.
    pub column: u32,
    /// Length in octets.
    pub length: u32,
}

impl Place {
    /// The file as a whole.
    pub const FILE: Place = Place {
        line: 0,
        column: 1,
        length: 0,
    };
}

impl Problem {
    /// Makes a problem of the severity its code usually has.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Problem {
        Problem {
            line: place.line,
            column: place.column,
            length: place.length,
            severity: code.severity(),
            code,
            message: message.into(),
            help: String::new(),
        }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = help.into();
        self
    }

    /// Makes it worse or better than usual.
    pub fn severity(mut self, severity: Severity) -> Problem {
        self.severity = severity;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_lower_case_words_and_distinct() {
        let mut slugs: Vec<&str> = Code::ALL.iter().map(|code| code.slug()).collect();
        let plain = |c: u8| c.is_ascii_lowercase() || c == b'-';
        assert!(slugs.iter().all(|slug| slug.bytes().all(plain)));
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), Code::ALL.len());
    }
}
