//! The HelpFile: topics and their texts.
//!
//! Each line of the file is a topic, a tab and text; lines of the topic asked
//! for are shown. A line whose topic is `#vers` states the version of the format,
//! others that begin with `#` are comments.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Most octets of a help file that are read.
const MAX_HELP_FILE: u64 = 1_048_576;

/// Reads the lines of a help file; `None` if there is none that can be read.
pub fn read(path: &Path) -> Option<Vec<Vec<u8>>> {
    let file = std::fs::File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let reader = BufReader::new(file.take(MAX_HELP_FILE));
    reader.split(b'\n').collect::<Result<Vec<_>, _>>().ok()
}

/// Returns the texts of one topic.
pub fn topic_lines(
    lines: &[Vec<u8>],
    topic: &[u8],
    mut expand: impl FnMut(&[u8]) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"#")
            || !line
                .get(..topic.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(topic))
        {
            continue;
        }
        let text = match line.iter().position(|octet| *octet == b'\t') {
            Some(tab) => line.get(tab + 1..).unwrap_or(b""),
            None => b"",
        };
        found.push(expand(text));
    }
    found
}

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
            b"cpyr\tx",
        ]
        .map(<[u8]>::to_vec);
        let found = topic_lines(&lines, b"helo", <[u8]>::to_vec);
        assert_eq!(found, [b"HELO name".to_vec(), b"  says who".to_vec()]);
        assert!(topic_lines(&lines, b"zz", <[u8]>::to_vec).is_empty());
    }
}
