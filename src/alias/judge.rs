//! Judging the left-hand sides of aliases by the rules.
//!
//! A name may be aliased if its address resolves to a mailer with flag `A`.
//! Source: guide 2.6, guide 5.4 flag F=A.

use crate::map::AliasName;
use crate::rewrite::resolve::{ErrorSource, Resolving};
use crate::rewrite::{Kept, Place, Resolution, RewriteContext, Role, RuleError};
use crate::smtp::ExitStatus;

/// What parsing one address of an alias file told.
#[derive(Debug, Default)]
pub struct Judged {
    /// Messages about it, without file and line.
    pub messages: Vec<Vec<u8>>,
    /// The exit status they leave, if any does.
    pub exit: Option<ExitStatus>,
}

/// Judges the left-hand side of an alias; complaints go to the context's listener.
///
/// The error, if there is one, was not told by the listener.
pub fn judge(name: &[u8], cx: &mut RewriteContext<'_>) -> (AliasName, Option<RuleError>) {
    match parse(name, cx) {
        Resolution::Mailer(triple) | Resolution::Deferred(triple) => {
            let shown = name.trim_ascii().to_vec();
            if cx.mailers.get(triple.mailer).has(b'A') {
                (
                    AliasName::Local {
                        user: triple.user,
                        shown,
                    },
                    None,
                )
            } else {
                (AliasName::NotLocal(shown), None)
            }
        }
        Resolution::Error(error) => (AliasName::Unparsable, Some(error)),
    }
}

/// Judges the left-hand side of an alias and collects what is to be told about it.
///
/// `with` runs its argument with a context that listens through the given trace.
pub fn judge_alias(
    name: &[u8],
    with: &mut dyn FnMut(&mut Kept, &mut dyn FnMut(&mut RewriteContext<'_>)),
) -> (AliasName, Judged) {
    let mut kept = Kept::default();
    let mut verdict = AliasName::Unparsable;
    let mut judged = Judged::default();
    with(&mut kept, &mut |cx| {
        let (name_verdict, error) = judge(name, cx);
        verdict = name_verdict;
        if let Some(error) = error {
            judged.exit = Some(error.exit);
            if error.source != ErrorSource::Syntax {
                judged.messages.push(message(name, error.reply.text()));
            }
        }
    });
    judged.add_complaints(&kept);
    (verdict, judged)
}

/// Looks at one address of a right-hand side; `rest` starts with it (option CheckAliases).
pub fn check_address(
    rest: &[u8],
    with: &mut dyn FnMut(&mut Kept, &mut dyn FnMut(&mut RewriteContext<'_>)),
) -> Judged {
    let mut kept = Kept::default();
    let mut judged = Judged::default();
    with(&mut kept, &mut |cx| {
        let how = Resolving {
            role: Role::Recipient,
            place: Place::Envelope,
            delimiter: Some(b','),
        };
        if let Resolution::Error(error) = cx.resolve(rest, how).resolution {
            judged.exit = Some(error.exit);
            if error.source != ErrorSource::Syntax {
                judged.messages.push(message(rest, error.reply.text()));
            }
        }
    });
    judged.add_complaints(&kept);
    judged
}

impl Judged {
    /// Adds what the rules said on the way, unless it is the error already there.
    fn add_complaints(&mut self, kept: &Kept) {
        let refused = !self.messages.is_empty();
        for complaint in kept.complaints.iter().filter(|_| !refused) {
            let text = crate::smtp::Reply::from_text(&complaint.text);
            let text = text.map_or_else(|_| complaint.text.clone(), |reply| reply.text().to_vec());
            self.messages.push(message(&complaint.about, &text));
            self.exit.get_or_insert(ExitStatus::Usage);
        }
    }
}

fn parse(name: &[u8], cx: &mut RewriteContext<'_>) -> Resolution {
    let how = Resolving {
        role: Role::Recipient,
        place: Place::Envelope,
        delimiter: Some(b':'),
    };
    cx.resolve(name, how).resolution
}

fn message(about: &[u8], text: &[u8]) -> Vec<u8> {
    if about.is_empty() {
        text.to_vec()
    } else {
        [about, b"... ", text].concat()
    }
}
