//! HELP: topics of the HelpFile.
//!
//! Each line of the file is a topic, a tab and text; lines of the topic asked
//! for are sent. A line whose topic is `#vers` states the version of the format,
//! others that begin with `#` are comments.

use std::io::{BufRead, BufReader, Read};

use super::super::session::{Call, Flow, Session};
use super::super::wording;
use crate::macros::{MacroId, Template};
use crate::smtp::Reply;

/// Most octets of a help file that are read.
const MAX_HELP_FILE: u64 = 1_048_576;

impl Session {
    /// Answers HELP.
    pub(super) fn help(&mut self, topic: &[u8], call: &mut Call<'_>) -> Flow {
        let version = self.mta.config.expanded_macro(MacroId::letter(b'v'));
        let Some(lines) = self.read_help_file() else {
            let text = [
                b"502 5.3.0 Sendmail ",
                version.as_slice(),
                b" -- HELP not implemented",
            ]
            .concat();
            self.say(call, &wording::reply(&text));
            return Flow::Next;
        };
        let summary = topic.is_empty();
        let wanted = if summary {
            b"smtp".to_vec()
        } else {
            topic.to_ascii_lowercase()
        };
        let mut found = topic_lines(&lines, &wanted, |text| self.expand_help(text));
        if found.is_empty() {
            let shown = topic.get(..10).unwrap_or(topic);
            let text = [b"504 5.3.0 HELP topic \"", shown, b"\" unknown"].concat();
            self.say(call, &wording::reply(&text));
            return Flow::Next;
        }
        found.push(b"End of HELP info".to_vec());
        let sample = Reply::of("214 2.0.0 x");
        self.say(
            call,
            &Reply {
                lines: found,
                ..sample
            },
        );
        Flow::Next
    }

    fn read_help_file(&self) -> Option<Vec<Vec<u8>>> {
        let path = self.mta.config.options.running.help_file.as_ref()?;
        let file = std::fs::File::open(path).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let reader = BufReader::new(file.take(MAX_HELP_FILE));
        reader.split(b'\n').collect::<Result<Vec<_>, _>>().ok()
    }

    fn expand_help(&mut self, text: &[u8]) -> Vec<u8> {
        let mut names = self.mta.config.names.clone();
        self.expand(&Template::parse(text, &mut names))
    }
}

/// Returns the texts of one topic.
fn topic_lines(
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
