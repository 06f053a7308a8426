//! The HelpFile: topics and their texts.
//!
//! Each line of the file is a topic, a blank and text; lines that begin with the topic asked
//! for are shown. A line whose topic is `#vers` states the version of the format,
//! others that begin with `#` are comments.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::config::reader::strip_comments;
use crate::safefile::{DontBlameSendmail, check};
use crate::text::bytes::parse_decimal;

/// Most octets of a help file that are read.
const MAX_HELP_FILE: u64 = 1_048_576;

/// Reads the lines of a help file; `None` if there is none that may be trusted.
pub fn read(path: &Path, policy: DontBlameSendmail) -> Option<Vec<Vec<u8>>> {
    let file = check::open(path, check::Purpose::HelpFile, policy)
        .ok()?
        .file;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let reader = BufReader::new(file.take(MAX_HELP_FILE));
    reader.split(b'\n').collect::<Result<Vec<_>, _>>().ok()
}

/// Finds the lines of a topic; `expand` is asked where the file has version 2 of the format.
///
/// What is asked for is the beginning of a line. Its text follows the first blank of the line;
/// a summary of a file in the old format begins with `banner`. Observed: 8.17.1.9.
pub fn topic_lines(
    lines: &[Vec<u8>],
    topic: &[u8],
    banner: Option<&[u8]>,
    mut expand: impl FnMut(&[u8]) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut version = 0_u32;
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"#") {
            version = stated_version(line).unwrap_or(version);
            continue;
        }
        if !line.starts_with(topic) {
            continue;
        }
        let is_old = version < MACROS_SINCE;
        if let (true, true, Some(banner)) = (is_old, found.is_empty(), banner) {
            found.push(banner.to_vec());
        }
        let blank = line.iter().position(|octet| matches!(octet, b' ' | b'\t'));
        let text = blank.map_or(&b""[..], |blank| line.get(blank + 1..).unwrap_or(b""));
        found.push(if is_old {
            text.to_vec()
        } else {
            expand(&strip_comments(text, COMMENTS_LEVEL))
        });
    }
    found
}

/// Reads the number of a line `#vers`.
fn stated_version(line: &[u8]) -> Option<u32> {
    let digits: Vec<u8> = (line
        .strip_prefix(b"#vers\t")?
        .trim_ascii_start()
        .iter()
        .copied())
    .take_while(u8::is_ascii_digit)
    .collect();
    parse_decimal(&digits)
}

/// The version of the format since which texts have macros.
const MACROS_SINCE: u32 = 2;
/// The level of configuration files whose comments texts have.
const COMMENTS_LEVEL: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_its_lines() {
        let lines = [
            &b"#vers\t2"[..],
            b"smtp\tTopics",
            b"helo\tHELO name",
            b"helo\t  says who",
            b"helo one blank # and a comment",
            b"helo",
            b"HELO\tcapitals",
            b"cpyr\tx",
        ]
        .map(<[u8]>::to_vec);
        let found = |topic: &[u8]| {
            let loud = <[u8]>::to_ascii_uppercase;
            let texts = topic_lines(&lines, topic, Some(b"banner"), loud);
            String::from_utf8(texts.join(&b'|')).expect("ASCII")
        };
        assert_eq!(found(b"helo"), "HELO NAME|  SAYS WHO|ONE BLANK|");
        assert_eq!(found(b"helo one"), "ONE BLANK");
        assert_eq!(found(b"HELO"), "CAPITALS");
        assert_eq!(found(b"zz"), "");
    }

    #[test]
    fn an_old_file_has_no_macros_but_a_banner() {
        let lines = [
            &b"smtp\t$j # kept  "[..],
            b"#vers 2",
            b"smtp\t$j",
            b"#vers\t2",
            b"smtp\t$j",
        ];
        let lines = lines.map(<[u8]>::to_vec);
        let found = topic_lines(&lines, b"smtp", Some(b"banner"), |_| b"expanded".to_vec());
        assert_eq!(
            found.join(&b'|'),
            b"banner|$j # kept  |$j|expanded".to_vec()
        );
        assert!(topic_lines(&lines, b"zz", Some(b"banner"), <[u8]>::to_vec).is_empty());
    }
}
