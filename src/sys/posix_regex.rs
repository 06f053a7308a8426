//! Regular expressions of the C library, for the regex map.
//!
//! Existing configurations rely on POSIX leftmost-longest matching and on the
//! basic syntax, which no Rust crate offers.

use std::ffi::CString;
use std::ops::Range;

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RegexFlags {
    /// Basic instead of extended syntax.
    pub basic: bool,
    /// Upper and lower case match each other.
    pub ignore_case: bool,
    /// `.` and negated brackets do not match a newline; `^` and `$` do around it.
    pub newline: bool,
}

/// Why a pattern could not be compiled, in the C library's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexError(pub String);

impl std::fmt::Display for RegexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RegexError {}

/// A compiled pattern.
pub struct PosixRegex {
    /// Boxed, because the C library may keep pointers into it.
    compiled: Box<libc::regex_t>,
    groups: usize,
}

// SAFETY: regexec takes the pattern as const and glibc locks its inner state.
unsafe impl Send for PosixRegex {}
// SAFETY: as above.
unsafe impl Sync for PosixRegex {}

impl PosixRegex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The C library's message.
    pub fn compile(pattern: &[u8], flags: RegexFlags) -> Result<PosixRegex, RegexError> {
        let groups = pattern.iter().filter(|&&byte| byte == b'(').count();
        let pattern = CString::new(pattern)
            .map_err(|_| RegexError("Invalid regular expression".to_owned()))?;
        let mut bits = 0;
        if !flags.basic {
            bits |= libc::REG_EXTENDED;
        }
        if flags.ignore_case {
            bits |= libc::REG_ICASE;
        }
        if flags.newline {
            bits |= libc::REG_NEWLINE;
        }
        let mut compiled = Box::new(std::mem::MaybeUninit::<libc::regex_t>::zeroed());
        // SAFETY: buffer and pattern are valid for the whole call.
        let code = unsafe { libc::regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), bits) };
        // SAFETY: all zeroes is a value of this plain C struct, and regcomp only writes fields;
        // both boxes have the same layout.
        let compiled: Box<libc::regex_t> = unsafe { Box::from_raw(Box::into_raw(compiled).cast()) };
        if code != 0 {
            return Err(error_message(code, &compiled));
        }
        Ok(PosixRegex { compiled, groups })
    }

    /// Matches a text: the whole match first, then each group, unused ones as `None`.
    ///
    /// Returns `None` if the text does not match.
    pub fn matches(&self, text: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
        let mut found = vec![
            libc::regmatch_t {
                rm_so: -1,
                rm_eo: -1
            };
            self.groups + 1
        ];
        // With REG_STARTEND the first entry says which part of the text to look
        // at, so the text needs no closing zero and may hold zero bytes.
        found[0] = libc::regmatch_t {
            rm_so: 0,
            rm_eo: i32::try_from(text.len()).ok()?,
        };
        // SAFETY: pattern, text and the array are valid for the whole call, and
        // REG_STARTEND keeps the C library within the length given.
        let code = unsafe {
            libc::regexec(
                &raw const *self.compiled,
                text.as_ptr().cast(),
                found.len(),
                found.as_mut_ptr(),
                REG_STARTEND,
            )
        };
        (code == 0).then(|| found.iter().map(to_range).collect())
    }

    /// Says whether a text matches.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.matches(text).is_some()
    }
}

/// Source: regex.h of glibc; the libc crate does not name it.
const REG_STARTEND: i32 = 1 << 2;

fn to_range(found: &libc::regmatch_t) -> Option<Range<usize>> {
    Some(usize::try_from(found.rm_so).ok()?..usize::try_from(found.rm_eo).ok()?)
}

fn error_message(code: i32, pattern: &libc::regex_t) -> RegexError {
    let mut buffer = [0_u8; 256];
    // SAFETY: pattern and buffer are valid for the whole call.
    let needed = unsafe { libc::regerror(code, pattern, buffer.as_mut_ptr().cast(), buffer.len()) };
    let end = needed.saturating_sub(1).min(buffer.len() - 1);
    RegexError(String::from_utf8_lossy(&buffer[..end]).into_owned())
}

impl Drop for PosixRegex {
    fn drop(&mut self) {
        // SAFETY: compiled by regcomp, freed once.
        unsafe { libc::regfree(&raw mut *self.compiled) };
    }
}

impl std::fmt::Debug for PosixRegex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PosixRegex")
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extended(pattern: &str) -> PosixRegex {
        PosixRegex::compile(pattern.as_bytes(), RegexFlags::default()).unwrap()
    }

    #[test]
    fn groups_are_returned_as_ranges() {
        let found = extended("(a+)(x)?(b)").matches(b"--aab").unwrap();
        assert_eq!(found, [Some(2..5), Some(2..4), None, Some(4..5)]);
        assert_eq!(extended("^b").matches(b"ab"), None);
    }

    #[test]
    fn the_longest_alternative_wins() {
        assert_eq!(extended("a|ab").matches(b"ab").unwrap()[0], Some(0..2));
    }

    #[test]
    fn flags_change_the_reading() {
        let flags = RegexFlags {
            basic: true,
            ignore_case: true,
            newline: false,
        };
        let found = PosixRegex::compile(b"\\(A\\)+", flags)
            .unwrap()
            .matches(b"a+")
            .unwrap();
        assert_eq!(found, [Some(0..2), Some(0..1)]);
    }

    #[test]
    fn any_bytes_may_be_asked_for_and_bad_patterns_are_refused() {
        assert_eq!(extended("c$").matches(b"a\0\xffc").unwrap()[0], Some(3..4));
        assert_eq!(extended("").matches(b"").unwrap()[0], Some(0..0));
        let error = PosixRegex::compile(b"a(", RegexFlags::default()).unwrap_err();
        assert!(!error.0.is_empty());
        assert!(PosixRegex::compile(b"a\0", RegexFlags::default()).is_err());
    }
}
