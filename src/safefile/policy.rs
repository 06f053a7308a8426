//! The words of `DontBlameSendmail`: unsafe things that are taken nevertheless.
//!
//! Source: guide 4.9.2.

/// A set of `DontBlameSendmail` words; the empty set is `Safe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DontBlameSendmail(u64);

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $bit:expr;)*) => {
        impl DontBlameSendmail {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }

        const WORDS: &[(&str, DontBlameSendmail)] = &[$(($word, DontBlameSendmail::$name)),*];

        #[cfg(test)]
        const NAMES: &[(&str, &str)] = &[$(($word, stringify!($name))),*];
    };
}

words! {
    /// Only root can give files away.
    ASSUME_SAFE_CHOWN = "AssumeSafeChown", 0;
    /// Group-writable directories count as safe.
    GROUP_WRITABLE_DIR_PATH_SAFE = "GroupWritableDirPathSafe", 1;
    /// Programs and files from group-writable .forward files.
    GROUP_WRITABLE_FORWARD_FILE_SAFE = "GroupWritableForwardFileSafe", 2;
    /// Programs and files from group-writable lists.
    GROUP_WRITABLE_INCLUDE_FILE_SAFE = "GroupWritableIncludeFileSafe", 3;
    /// Group-writable alias files.
    GROUP_WRITABLE_ALIAS_FILE = "GroupWritableAliasFile", 4;
    /// World-writable alias files.
    WORLD_WRITABLE_ALIAS_FILE = "WorldWritableAliasFile", 5;
    /// Forward file in unsafe dir path.
    FORWARD_FILE_IN_UNSAFE_DIR_PATH = "ForwardFileInUnsafeDirPath", 6;
    /// Include file in unsafe dir path.
    INCLUDE_FILE_IN_UNSAFE_DIR_PATH = "IncludeFileInUnsafeDirPath", 7;
    /// Map in unsafe dir path.
    MAP_IN_UNSAFE_DIR_PATH = "MapInUnsafeDirPath", 8;
    /// Linked alias file in writable dir.
    LINKED_ALIAS_FILE_IN_WRITABLE_DIR = "LinkedAliasFileInWritableDir", 9;
    /// Linked class file in writable dir.
    LINKED_CLASS_FILE_IN_WRITABLE_DIR = "LinkedClassFileInWritableDir", 10;
    /// Linked forward file in writable dir.
    LINKED_FORWARD_FILE_IN_WRITABLE_DIR = "LinkedForwardFileInWritableDir", 11;
    /// Linked include file in writable dir.
    LINKED_INCLUDE_FILE_IN_WRITABLE_DIR = "LinkedIncludeFileInWritableDir", 12;
    /// Linked map in writable dir.
    LINKED_MAP_IN_WRITABLE_DIR = "LinkedMapInWritableDir", 13;
    /// Linked service switch file in writable dir.
    LINKED_SERVICE_SWITCH_FILE_IN_WRITABLE_DIR = "LinkedServiceSwitchFileInWritableDir", 14;
    /// File delivery to hard link.
    FILE_DELIVERY_TO_HARD_LINK = "FileDeliveryToHardLink", 15;
    /// File delivery to sym link.
    FILE_DELIVERY_TO_SYM_LINK = "FileDeliveryToSymLink", 16;
    /// Write map to hard link.
    WRITE_MAP_TO_HARD_LINK = "WriteMapToHardLink", 17;
    /// Write map to sym link.
    WRITE_MAP_TO_SYM_LINK = "WriteMapToSymLink", 18;
    /// Write stats to hard link.
    WRITE_STATS_TO_HARD_LINK = "WriteStatsToHardLink", 19;
    /// Write stats to sym link.
    WRITE_STATS_TO_SYM_LINK = "WriteStatsToSymLink", 20;
    /// Class file in unsafe dir path.
    CLASS_FILE_IN_UNSAFE_DIR_PATH = "ClassFileInUnsafeDirPath", 21;
    /// Error header in unsafe dir path.
    ERROR_HEADER_IN_UNSAFE_DIR_PATH = "ErrorHeaderInUnsafeDirPath", 22;
    /// Help file in unsafe dir path.
    HELP_FILE_IN_UNSAFE_DIR_PATH = "HelpFileInUnsafeDirPath", 23;
    /// Forward file in unsafe dir path safe.
    FORWARD_FILE_IN_UNSAFE_DIR_PATH_SAFE = "ForwardFileInUnsafeDirPathSafe", 24;
    /// Include file in unsafe dir path safe.
    INCLUDE_FILE_IN_UNSAFE_DIR_PATH_SAFE = "IncludeFileInUnsafeDirPathSafe", 25;
    /// Run program in unsafe dir path.
    RUN_PROGRAM_IN_UNSAFE_DIR_PATH = "RunProgramInUnsafeDirPath", 26;
    /// Run writable program.
    RUN_WRITABLE_PROGRAM = "RunWritableProgram", 27;
    /// File and program addresses although we do not run as root.
    NON_ROOT_SAFE_ADDR = "NonRootSafeAddr", 28;
    /// World-writable directories with the sticky bit count as safe.
    TRUST_STICKY_BIT = "TrustStickyBit", 29;
    /// Dont warn forward file in unsafe dir path.
    DONT_WARN_FORWARD_FILE_IN_UNSAFE_DIR_PATH = "DontWarnForwardFileInUnsafeDirPath", 30;
    /// Insufficient entropy.
    INSUFFICIENT_ENTROPY = "InsufficientEntropy", 31;
    /// Group readable sasldbfile.
    GROUP_READABLE_SASLDB_FILE = "GroupReadableSASLDBFile", 32;
    /// Group writable sasldbfile.
    GROUP_WRITABLE_SASLDB_FILE = "GroupWritableSASLDBFile", 33;
    /// Group readable default auth info file.
    GROUP_READABLE_DEFAULT_AUTH_INFO_FILE = "GroupReadableDefaultAuthInfoFile", 34;
    /// Group writable forward file.
    GROUP_WRITABLE_FORWARD_FILE = "GroupWritableForwardFile", 35;
    /// Group writable include file.
    GROUP_WRITABLE_INCLUDE_FILE = "GroupWritableIncludeFile", 36;
    /// World writable forward file.
    WORLD_WRITABLE_FORWARD_FILE = "WorldWritableForwardFile", 37;
    /// World writable include file.
    WORLD_WRITABLE_INCLUDE_FILE = "WorldWritableIncludeFile", 38;
    /// Group readable key file.
    GROUP_READABLE_KEY_FILE = "GroupReadableKeyFile", 39;
    /// Forward file in group writable dir path.
    FORWARD_FILE_IN_GROUP_WRITABLE_DIR_PATH = "ForwardFileInGroupWritableDirPath", 40;
    /// Include file in group writable dir path.
    INCLUDE_FILE_IN_GROUP_WRITABLE_DIR_PATH = "IncludeFileInGroupWritableDirPath", 41;
}

impl DontBlameSendmail {
    /// The empty set: nothing unsafe is taken.
    pub const SAFE: Self = Self(0);

    /// Finds a word, letter case not regarded.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        if word.eq_ignore_ascii_case(b"safe") {
            return Some(Self::SAFE);
        }
        WORDS
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))
            .map(|(_, set)| *set)
    }

    /// Tells whether all words of `other` are in the set.
    pub const fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Joins two sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case_and_are_distinct() {
        let mut all = DontBlameSendmail::SAFE;
        for (word, set) in WORDS {
            assert_eq!(
                DontBlameSendmail::from_word(word.to_uppercase().as_bytes()),
                Some(*set)
            );
            assert!(!all.allows(*set), "{word}");
            all = all.union(*set);
        }
        assert_eq!(DontBlameSendmail::from_word(b"nosuch"), None);
    }

    #[test]
    fn each_word_has_the_name_it_is_asked_for_by() {
        for (word, name) in NAMES {
            assert!(name.replace('_', "").eq_ignore_ascii_case(word), "{word}");
        }
    }
}
