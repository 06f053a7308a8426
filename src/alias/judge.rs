//! Judging the left-hand sides of aliases by the rules.
//!
//! A name may be aliased if its address resolves to a mailer with flag `A`.
//! Source: guide 2.6, guide 5.4 flag F=A.

use crate::mailer::MailerTable;
use crate::map::AliasName;
use crate::rewrite::resolve::{ErrorSource, Resolved, Resolving};
use crate::rewrite::{Kept, Place, Resolution, RewriteContext, Role, RuleError};
use crate::smtp::{ExitStatus, Reply};

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
    let resolved = resolve_name(name, cx);
    judge_resolved(name, resolved.resolution, cx.mailers)
}

/// Judges the left-hand side `name` of an alias by what its address resolved to.
pub(crate) fn judge_resolved(
    name: &[u8],
    resolution: Resolution,
    mailers: &MailerTable,
) -> (AliasName, Option<RuleError>) {
    match resolution {
        Resolution::Mailer(triple) | Resolution::Deferred(triple) => {
            let shown = name.trim_ascii().to_vec();
            if mailers.get(triple.mailer).has(b'A') {
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

/// Looks at one address of a right-hand side; `rest` starts with it (option CheckAliases).
pub fn check_address(rest: &[u8], cx: &mut RewriteContext<'_>) -> Option<RuleError> {
    let how = Resolving {
        role: Role::Recipient,
        place: Place::Envelope,
        delimiter: Some(b','),
    };
    match cx.resolve(rest, how).resolution {
        Resolution::Error(error) => Some(error),
        Resolution::Mailer(_) | Resolution::Deferred(_) => None,
    }
}

impl Judged {
    /// Puts together what is to be told of an address: its error, else what the rules said.
    pub fn new(address: &[u8], error: Option<RuleError>, kept: Kept) -> Judged {
        let mut judged = Judged {
            messages: Vec::new(),
            exit: error.as_ref().map(|error| error.exit),
        };
        // An error of the syntax was told by the listener already.
        if let Some(error) = error.filter(|error| error.source != ErrorSource::Syntax) {
            judged.messages.push(message(address, error.reply.text()));
            return judged;
        }
        for fault in kept.faults {
            judged.messages.push(fault);
            judged.exit.get_or_insert(ExitStatus::OsError);
        }
        for complaint in kept.complaints {
            let text = Reply::from_text(&complaint.text);
            let text = text.map_or(complaint.text, |reply| reply.text().to_vec());
            judged.messages.push(message(&complaint.about, &text));
            judged.exit.get_or_insert(ExitStatus::Usage);
        }
        judged
    }
}

/// Resolves the left-hand side of an alias as an address.
pub(crate) fn resolve_name(name: &[u8], cx: &mut RewriteContext<'_>) -> Resolved {
    let how = Resolving {
        role: Role::Recipient,
        place: Place::Envelope,
        delimiter: Some(b':'),
    };
    cx.resolve(name, how)
}

fn message(about: &[u8], text: &[u8]) -> Vec<u8> {
    if about.is_empty() {
        text.to_vec()
    } else {
        [about, b"... ", text].concat()
    }
}
