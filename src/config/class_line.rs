//! C and F lines: words of classes.
//!
//! Source: guide 5.3; observed: 8.17.1.9.

use super::diagnostics::Diagnostics;
use crate::macros::{ClassId, Classes, MacroId, MacroNames};
use crate::token::mark::{Mark, Unit, unit_at};

/// Told of a `$=` without a name. Observed: 8.17.1.9.
pub const NAMELESS: &str = "Name required for macro/class";

/// Classes being filled; tells of each word when that is asked for (`-d37.8`).
pub struct ClassSink<'a> {
    /// The classes.
    pub classes: &'a mut Classes,
    /// Names of classes, for traces.
    pub names: &'a MacroNames,
    /// Where traces go.
    pub out: &'a mut Diagnostics,
}

impl ClassSink<'_> {
    /// Adds a word; false when the class had it.
    pub fn insert(&mut self, class: ClassId, word: &[u8]) -> bool {
        if self.out.traces(37, 8) {
            let line = addition_line(self.names, class, word);
            self.out.trace(line);
        }
        self.classes.insert(class, word)
    }

    /// Adds the members of another class.
    fn copy(&mut self, source: ClassId, class: ClassId) {
        if self.out.traces(37, 8) {
            self.out.trace(copy_line(self.names, source, class));
        }
        self.classes.copy(source, class);
    }
}

/// Gives the line that tells of a word put into a class. Observed: 8.17.1.9.
pub fn addition_line(names: &MacroNames, class: ClassId, word: &[u8]) -> Vec<u8> {
    let name = names.name(class.0);
    [b"setclass(".as_slice(), &name, b", ", word, b")"].concat()
}

/// Gives the line that tells of a class whose members are put into another one.
///
/// Observed: 8.17.1.9 writes both names into the same place if both are one letter.
pub fn copy_line(names: &MacroNames, source: ClassId, class: ClassId) -> Vec<u8> {
    let shown = [source, class].map(|id| names.name(id.0));
    let name = match &shown {
        [source, class] if source.len() == 1 && class.len() == 1 => class,
        [source, _] => source,
    };
    addition_line(names, class, &[b"$=".as_slice(), name].concat())
}

/// What one word of a C line adds to a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addition {
    /// Itself.
    Word(Vec<u8>),
    /// The members of this class: `$=x`.
    Members(ClassId),
    /// Nothing: no class is named behind `$=`. That is told of once more.
    Nameless,
}

/// Cuts marked text into what it adds to a class.
pub fn additions(marked: &[u8]) -> Vec<Addition> {
    let (mut all, mut word) = (Vec::new(), Vec::new());
    let mut copied = false;
    let mut at = 0;
    while let Some((unit, next)) = unit_at(marked, at) {
        at = next;
        match unit {
            Unit::Octet(byte) if byte.is_ascii_whitespace() || byte == 0x0b => {
                finish(&mut all, &mut word);
                copied = false;
            }
            // What follows a copied class in one word is dropped.
            _ if copied => {}
            Unit::Symbol(Mark::InClass, source) if word.is_empty() => {
                all.push(match source {
                    0 => Addition::Nameless,
                    _ => Addition::Members(ClassId(MacroId::from_number(source))),
                });
                copied = true;
            }
            Unit::Octet(byte) => word.push(byte),
            Unit::Symbol(mark, argument) => {
                word.push(mark.octet());
                if mark.has_argument() {
                    word.push(argument.to_be_bytes()[1]);
                }
            }
        }
    }
    finish(&mut all, &mut word);
    all
}

fn finish(all: &mut Vec<Addition>, word: &mut Vec<u8>) {
    if !word.is_empty() {
        all.push(Addition::Word(std::mem::take(word)));
    }
}

/// Adds the words of marked text to a class.
pub fn add_words(classes: &mut ClassSink<'_>, class: ClassId, marked: &[u8]) {
    for addition in additions(marked) {
        match addition {
            Addition::Word(word) => {
                classes.insert(class, &word);
            }
            Addition::Members(source) => classes.copy(source, class),
            Addition::Nameless => classes.out.error(NAMELESS),
        }
    }
}

/// Adds the words of plain text to a class.
pub fn add_plain_words(classes: &mut ClassSink<'_>, class: ClassId, text: &[u8]) {
    for word in crate::text::bytes::words(text) {
        classes.insert(class, word);
    }
}

/// What an F line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassFile<'a> {
    /// A missing file is no fault (`-o`).
    pub optional: bool,
    /// Where the words come from.
    pub origin: ClassOrigin<'a>,
}

/// Where the words of an F line come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassOrigin<'a> {
    /// A file, and how each of its lines is read.
    File(&'a [u8], &'a [u8]),
    /// The output of a program, which gets no arguments.
    Program(&'a [u8]),
    /// A look-up of a key in a map: key, class of the map, specification.
    Map(&'a [u8], &'a [u8], &'a [u8]),
    /// Nothing is named.
    Missing,
}

/// Reads what stands behind the name of the class.
pub fn parse_file(text: &[u8]) -> ClassFile<'_> {
    let mut text = text.trim_ascii_start();
    let mut optional = false;
    if text.starts_with(b"-o") {
        optional = true;
        let end = text
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(text.len());
        text = text[end..].trim_ascii_start();
    }
    let origin = if text.is_empty() {
        ClassOrigin::Missing
    } else if let Some((key, class, specification)) = map_reference(text) {
        ClassOrigin::Map(key, class, specification)
    } else {
        let end = text
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(text.len());
        let (file, format) = text.split_at(end);
        let format = match format.trim_ascii_start() {
            [] => b"%s",
            format => format,
        };
        match file.strip_prefix(b"|") {
            Some(program) => ClassOrigin::Program(program),
            None => ClassOrigin::File(file, format),
        }
    };
    ClassFile { optional, origin }
}

/// Reads `key@class:specification`, where the key may be empty.
fn map_reference(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key, rest) = crate::text::bytes::split_once(text, b'@')?;
    if !key.iter().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    if rest == b"LDAP" {
        return Some((key, rest, b""));
    }
    let (class, specification) = crate::text::bytes::split_once(rest, b':')?;
    Some((key, class, specification))
}

/// Adds the words of a class file, each line read with `format`.
///
/// Only what the first conversion of the format takes counts; it is then cut into
/// words at blanks.
pub fn add_file(classes: &mut ClassSink<'_>, class: ClassId, content: &[u8], format: &[u8]) {
    for line in content.split(|&byte| byte == b'\n') {
        if line.first() == Some(&b'#') {
            continue;
        }
        if format == b"%s" {
            if let Some(word) = crate::text::bytes::words(line).next() {
                classes.insert(class, word);
            }
        } else if let Some(taken) = scan(line, format) {
            add_plain_words(classes, class, &taken);
        }
    }
}

/// Reads a line as `sscanf` with this format; gives what its first conversion took.
fn scan(line: &[u8], format: &[u8]) -> Option<Vec<u8>> {
    let mut line = line;
    let mut format = format;
    while let Some((&directive, tail)) = format.split_first() {
        format = tail;
        if directive.is_ascii_whitespace() {
            line = line.trim_ascii_start();
            continue;
        }
        if directive != b'%' {
            line = line.strip_prefix(&[directive])?;
            continue;
        }
        let suppressed = format.first() == Some(&b'*');
        format = &format[usize::from(suppressed)..];
        let digits = format
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let width = match super::options::value::count(&format[..digits]) {
            0 => usize::MAX,
            width => usize::try_from(width).unwrap_or(usize::MAX),
        };
        format = &format[digits..];
        let (&kind, tail) = format.split_first()?;
        format = tail;
        let taken = match kind {
            b's' => {
                line = line.trim_ascii_start();
                line.iter()
                    .take_while(|byte| !byte.is_ascii_whitespace())
                    .count()
            }
            b'[' => {
                let (set, rest) = scan_set(format);
                format = rest;
                line.iter().take_while(|&&byte| set.contains(byte)).count()
            }
            b'c' => line.len().min(1),
            b'%' => {
                line = line.strip_prefix(b"%")?;
                continue;
            }
            _ => return None,
        };
        let taken = taken.min(width);
        if taken == 0 {
            return None;
        }
        if !suppressed {
            return Some(line[..taken].to_vec());
        }
        line = &line[taken..];
    }
    None
}

/// The octets between `%[` and `]`.
struct ScanSet {
    negated: bool,
    members: Vec<u8>,
}

impl ScanSet {
    fn contains(&self, byte: u8) -> bool {
        self.members.contains(&byte) != self.negated
    }
}

/// Reads a set; one without end reaches to the end of the format.
fn scan_set(format: &[u8]) -> (ScanSet, &[u8]) {
    let negated = format.first() == Some(&b'^');
    let body = &format[usize::from(negated)..];
    // A bracket in the first place is a member.
    let end = body
        .get(1..)
        .and_then(|tail| memchr::memchr(b']', tail))
        .map_or(body.len(), |at| at + 1);
    let mut members = Vec::new();
    let mut at = 0;
    while let Some(&byte) = body[..end].get(at) {
        match body[..end].get(at + 1..at + 3) {
            Some(&[b'-', last]) => {
                members.extend(byte..=last);
                at += 3;
            }
            _ => {
                members.push(byte);
                at += 1;
            }
        }
    }
    let rest = body.get(end + 1..).unwrap_or_default();
    (ScanSet { negated, members }, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_take_what_the_c_library_takes() {
        for (line, format, taken) in [
            ("  six seven", "%s", Some("six")),
            ("root:x:0", "%[^:]", Some("root")),
            ("a # b", "%[^#]", Some("a ")),
            ("host alias", "%*s %s", Some("alias")),
            ("abcdef", "%3s", Some("abc")),
            ("x=y", "x=%s", Some("y")),
            ("", "%s", None),
            ("a", "%[", None),
            ("a b", "%[^", Some("a b")),
            ("a", "%d", None),
            ("b9-", "%[a-z0-9]", Some("b9")),
        ] {
            let got = scan(line.as_bytes(), format.as_bytes());
            assert_eq!(got.as_deref(), taken.map(str::as_bytes), "{line} {format}");
        }
    }

    #[test]
    fn f_lines_name_files_programs_and_maps() {
        let file = |name: &'static str, format: &'static str| {
            ClassOrigin::File(name.as_bytes(), format.as_bytes())
        };
        for (text, optional, origin) in [
            (" /a/b", false, file("/a/b", "%s")),
            ("-o /a %[^:]", true, file("/a", "%[^:]")),
            ("-o", true, ClassOrigin::Missing),
            ("|/bin/echo a", false, ClassOrigin::Program(b"/bin/echo")),
            (
                "key@hash:/x",
                false,
                ClassOrigin::Map(b"key", b"hash", b"/x"),
            ),
            ("@", false, file("@", "%s")),
        ] {
            assert_eq!(
                parse_file(text.as_bytes()),
                ClassFile { optional, origin },
                "{text}"
            );
        }
    }

    #[test]
    fn any_format_is_survived() {
        let mut seed = 7u32;
        for _ in 0..5000 {
            let mut text = Vec::new();
            for _ in 0..10 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push(b"%[]^-s*9 a"[(seed >> 16) as usize % 10]);
            }
            let (line, format) = text.split_at(4);
            scan(line, format);
        }
    }
}
