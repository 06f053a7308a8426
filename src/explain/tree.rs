//! The explanation for people: a tree, one line for each thing that happened.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::destination::{Destination, Host, Way};
use super::steps::Step;
use super::story::{Explanation, Outcome, Story};
use crate::smtp::ExitStatus;
use crate::text::bytes::printable;

/// One line with what belongs under it.
struct Node {
    text: String,
    inner: Vec<Node>,
}

impl Node {
    fn leaf(text: impl Into<String>) -> Node {
        Node {
            text: text.into(),
            inner: Vec::new(),
        }
    }

    fn with(text: impl Into<String>, inner: Vec<Node>) -> Node {
        Node {
            text: text.into(),
            inner,
        }
    }

    fn write(&self, first: &str, rest: &str, out: &mut String) {
        out.push_str(first);
        out.push_str(&self.text);
        out.push('\n');
        for (at, node) in self.inner.iter().enumerate() {
            let is_last = at + 1 == self.inner.len();
            let (branch, trunk) = if is_last {
                ("`-- ", "    ")
            } else {
                ("|-- ", "|   ")
            };
            node.write(&format!("{rest}{branch}"), &format!("{rest}{trunk}"), out);
        }
    }
}

/// Writes the whole explanation.
pub fn for_people(explanation: &Explanation) -> String {
    let painter = Painter {
        file: explanation
            .file
            .rsplit(|&byte| byte == b'/')
            .next()
            .map(printable)
            .unwrap_or_default(),
        told: RefCell::default(),
    };
    let mut out = format!(
        "configuration {}, sender {}\n",
        printable(&explanation.file),
        address(&explanation.sender)
    );
    for story in &explanation.recipients {
        painter.story(story).write("", "", &mut out);
    }
    out.push_str("\nin short:\n");
    explanation
        .recipients
        .iter()
        .for_each(|story| in_short(story, &mut out));
    for complaint in &explanation.complaints {
        out.push_str(&format!("complaint: {}\n", printable(complaint)));
    }
    out
}

/// One line for each final recipient.
fn in_short(story: &Story, out: &mut String) {
    let fate = match &story.outcome {
        Outcome::Delivery(to) => {
            let where_to = match (&to.way, &story.resolved) {
                (Way::Nowhere { reason, .. }, _) => format!(", but {reason}"),
                (_, Some((_, host, _))) if !host.is_empty() => {
                    format!(", host {}", printable(host))
                }
                _ => String::new(),
            };
            format!("mailer {}{where_to}", printable(&to.mailer))
        }
        Outcome::Waits(reason) => format!("waits: {}", printable(reason)),
        Outcome::Fails(reason) => format!("fails: {}", printable(reason)),
        Outcome::Alias(_) | Outcome::List(_) | Outcome::Forward(_) | Outcome::Dropped => {
            String::new()
        }
    };
    if !fate.is_empty() {
        out.push_str(&format!("  {} -> {fate}\n", address(&story.address)));
    }
    story
        .members
        .iter()
        .for_each(|member| in_short(member, out));
}

fn address(text: &[u8]) -> String {
    match text {
        [] => "<>".to_owned(),
        text => printable(text),
    }
}

fn quoted(text: &[u8]) -> String {
    format!("\"{}\"", printable(text))
}

struct Painter {
    /// Last part of the configuration file's name.
    file: String,
    /// Mailers whose sender was told.
    told: RefCell<BTreeSet<Vec<u8>>>,
}

impl Painter {
    fn story(&self, story: &Story) -> Node {
        let mut inner = Vec::new();
        if !story.steps.is_empty() {
            inner.push(Node::with("rewriting", self.steps(&story.steps)));
        }
        if let Some((mailer, host, user)) = &story.resolved {
            inner.push(Node::leaf(format!(
                "resolves to mailer {}, host {}, user {}",
                printable(mailer),
                quoted(host),
                quoted(user)
            )));
        }
        if !story.local_steps.is_empty() {
            inner.push(Node::with(
                "no alias, so ruleset 5 is asked",
                self.steps(&story.local_steps),
            ));
        }
        if let Some(path) = &story.forward_path {
            let text = format!("no alias; .forward is looked for in {}", quoted(path));
            inner.push(Node::leaf(text));
        }
        inner.push(self.outcome(&story.outcome));
        inner.extend(story.members.iter().map(|member| self.story(member)));
        Node::with(address(&story.address), inner)
    }

    fn outcome(&self, outcome: &Outcome) -> Node {
        match outcome {
            Outcome::Delivery(destination) => self.destination(destination),
            Outcome::Alias(value) => Node::leaf(format!("is an alias of {}", quoted(value))),
            Outcome::List(path) => Node::leaf(format!("is the list in {}", quoted(path))),
            Outcome::Forward(path) => Node::leaf(format!("is forwarded by {}", quoted(path))),
            Outcome::Waits(reason) => Node::leaf(format!("WAITS: {}", printable(reason))),
            Outcome::Fails(reason) => Node::leaf(format!("FAILS: {}", printable(reason))),
            Outcome::Dropped => {
                Node::leaf("is dropped: named elsewhere already, discarded, or gone through above")
            }
        }
    }

    fn steps(&self, steps: &[Step]) -> Vec<Node> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&self, step: &Step) -> Node {
        let file = &self.file;
        match step {
            Step::Ruleset {
                name,
                number,
                input,
                output,
                steps,
            } => {
                let name = printable(name);
                let name = match name == number.to_string() {
                    true => name,
                    false => format!("{name} ({number})"),
                };
                let text = if input == output {
                    format!("ruleset {name}: {} stays", quoted(input))
                } else {
                    format!("ruleset {name}: {} => {}", quoted(input), quoted(output))
                };
                Node::with(text, self.steps(steps))
            }
            Step::Rule {
                line,
                pattern,
                replacement,
                result,
                steps,
            } => {
                let result = match result {
                    Some(result) => quoted(result),
                    None => "failed".to_owned(),
                };
                let rule = format!(
                    "{file}:{line}: {} -> {}",
                    printable(pattern),
                    printable(replacement)
                );
                if steps.is_empty() {
                    return Node::leaf(format!("{rule}   => {result}"));
                }
                let mut inner = self.steps(steps);
                inner.push(Node::leaf(format!("=> {result}")));
                Node::with(rule, inner)
            }
            Step::Missed { line, pattern } => {
                Node::leaf(format!("{file}:{line}: {} no match", printable(pattern)))
            }
            Step::Map {
                name,
                key,
                arguments,
                answer,
                exists,
                status,
            } => {
                let mut text = format!("map {} ({}", printable(name), quoted(key));
                for argument in arguments {
                    text.push_str(&format!(", {}", quoted(argument)));
                }
                text.push_str(") ");
                text.push_str(&match (answer, exists, status) {
                    (_, false, _) => "is not defined".to_owned(),
                    (Some(answer), ..) => format!("=> {}", quoted(answer)),
                    (None, _, ExitStatus::Ok) => "finds nothing".to_owned(),
                    (None, ..) => "cannot answer now".to_owned(),
                });
                Node::leaf(text)
            }
            Step::Message(text) => Node::leaf(format!("message: {}", printable(text))),
        }
    }

    fn destination(&self, destination: &Destination) -> Node {
        // The sender is the same for all recipients of a mailer: once is enough.
        let is_new = self.told.borrow_mut().insert(destination.mailer.clone());
        let sender_steps = match is_new {
            true => self.steps(&destination.sender_steps),
            false => Vec::new(),
        };
        let mut inner = vec![
            Node::with(
                format!("sender for this mailer: {}", address(&destination.sender)),
                sender_steps,
            ),
            Node::leaf(format!(
                "recipient for this mailer: {}",
                address(&destination.recipient)
            )),
        ];
        let argv: Vec<String> = destination.argv.iter().map(|word| quoted(word)).collect();
        let argv = argv.join(" ");
        match &destination.way {
            Way::Program { path, rights } => {
                inner.push(Node::leaf(format!(
                    "runs {} with {argv}{}",
                    printable(path),
                    rights_text(*rights)
                )));
            }
            Way::File { path, rights } => inner.push(Node::leaf(format!(
                "is appended to {}{}",
                printable(path),
                rights_text(*rights)
            ))),
            Way::Socket { path } => {
                inner.push(Node::leaf(format!("peer: socket {}", printable(path))));
            }
            Way::Hosts(hosts) => inner.extend(hosts.iter().map(host)),
            Way::Nowhere {
                reason,
                is_temporary,
            } => {
                let word = if *is_temporary { "WAITS" } else { "FAILS" };
                inner.push(Node::leaf(format!("{word}: {reason}")));
            }
        }
        inner.extend(destination.remarks.iter().map(Node::leaf));
        let mailer = printable(&destination.mailer);
        Node::with(format!("is delivered by mailer {mailer}"), inner)
    }
}

fn rights_text(rights: Option<(u32, u32)>) -> String {
    match rights {
        Some((uid, gid)) => format!(" as uid {uid}, gid {gid}"),
        None => String::new(),
    }
}

fn host(host: &Host) -> Node {
    let name = printable(&host.name);
    let name = name.trim_end_matches('.');
    let head = match host.preference {
        Some(preference) => format!("MX {preference} {name}"),
        None => format!("host {name}"),
    };
    match &host.addresses {
        Ok(addresses) => Node::with(
            head,
            addresses
                .iter()
                .map(|ip| {
                    Node::leaf(format!(
                        "peer: {}",
                        std::net::SocketAddr::new(*ip, host.port)
                    ))
                })
                .collect(),
        ),
        Err(reason) => Node::with(head, vec![Node::leaf(format!("no address: {reason}"))]),
    }
}
