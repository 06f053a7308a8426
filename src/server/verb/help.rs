//! HELP: topics of the HelpFile.

use super::super::help_file::{read, topic_lines};
use super::super::session::{Call, Flow, Session};
use super::super::wording;
use crate::macros::{MacroId, Template};
use crate::smtp::Reply;

impl Session {
    /// Answers HELP.
    pub(super) fn help(&mut self, topic: &[u8], call: &mut Call<'_>) -> Flow {
        let version = self.mta.config.expanded_macro(MacroId::letter(b'v'));
        let path = self.mta.config.options.running.help_file.as_deref();
        let policy = self.mta.config.options.security.dont_blame_sendmail;
        let Some(lines) = path.and_then(|path| read(path, policy)) else {
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
        let banner = [b"This is Sendmail version ", version.as_slice()].concat();
        let banner = summary.then_some(banner.as_slice());
        let mut found = topic_lines(&lines, &wanted, banner, |text| self.expand_help(text));
        if found.is_empty() {
            let shown = wanted.get(..10).unwrap_or(&wanted);
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

    fn expand_help(&mut self, text: &[u8]) -> Vec<u8> {
        let mut names = self.mta.config.names.clone();
        self.expand(&Template::parse(text, &mut names))
    }
}
