//! The explanation for programs: one JSON object in one line.
//!
//! Names of fields never change their meaning; new ones may come.

use super::destination::{Destination, Way};
use super::steps::Step;
use super::story::{Explanation, Outcome, Story};
use crate::smtp::ExitStatus;
use crate::text::json::Json;

/// Makes the whole explanation.
pub fn for_programs(explanation: &Explanation) -> Json {
    Json::Object(vec![
        ("file", Json::text(&explanation.file)),
        ("sender", Json::text(&explanation.sender)),
        (
            "recipients",
            Json::List(explanation.recipients.iter().map(story).collect()),
        ),
        ("complaints", Json::texts(&explanation.complaints)),
    ])
}

fn story(story: &Story) -> Json {
    let mut fields = vec![
        ("address", Json::text(&story.address)),
        ("rewriting", steps(&story.steps)),
    ];
    if let Some((mailer, host, user)) = &story.resolved {
        fields.push(("mailer", Json::text(mailer)));
        fields.push(("host", Json::text(host)));
        fields.push(("user", Json::text(user)));
    }
    if !story.local_steps.is_empty() {
        fields.push(("local_rewriting", steps(&story.local_steps)));
    }
    if let Some(path) = &story.forward_path {
        fields.push(("forward_path", Json::text(path)));
    }
    let (outcome, detail): (&str, Option<(&'static str, Json)>) = match &story.outcome {
        Outcome::Delivery(to) => ("delivery", Some(("delivery", destination(to)))),
        Outcome::Alias(value) => ("alias", Some(("alias", Json::text(value)))),
        Outcome::List(path) => ("list", Some(("list", Json::text(path)))),
        Outcome::Forward(path) => ("forward", Some(("forward", Json::text(path)))),
        Outcome::Waits(reason) => ("waits", Some(("reason", Json::text(reason)))),
        Outcome::Fails(reason) => ("fails", Some(("reason", Json::text(reason)))),
        Outcome::Dropped => ("dropped", None),
    };
    fields.push(("outcome", Json::from(outcome)));
    fields.extend(detail);
    fields.push((
        "members",
        Json::List(story.members.iter().map(self::story).collect()),
    ));
    Json::Object(fields)
}

fn steps(steps: &[Step]) -> Json {
    Json::List(steps.iter().map(step).collect())
}

fn step(step: &Step) -> Json {
    let optional = |text: &Option<Vec<u8>>| text.as_ref().map_or(Json::Null, Json::text);
    Json::Object(match step {
        Step::Ruleset {
            name,
            number,
            input,
            output,
            steps,
        } => vec![
            ("step", Json::from("ruleset")),
            ("name", Json::text(name)),
            ("number", Json::from(u32::from(*number))),
            ("input", Json::text(input)),
            ("output", Json::text(output)),
            ("steps", self::steps(steps)),
        ],
        Step::Rule {
            line,
            pattern,
            replacement,
            result,
            steps,
        } => vec![
            ("step", Json::from("rule")),
            ("line", Json::from(*line)),
            ("pattern", Json::text(pattern)),
            ("replacement", Json::text(replacement)),
            ("result", optional(result)),
            ("steps", self::steps(steps)),
        ],
        Step::Missed { line, pattern } => vec![
            ("step", Json::from("no match")),
            ("line", Json::from(*line)),
            ("pattern", Json::text(pattern)),
        ],
        Step::Map {
            name,
            key,
            arguments,
            answer,
            exists,
            status,
        } => vec![
            ("step", Json::from("map")),
            ("name", Json::text(name)),
            ("key", Json::text(key)),
            ("arguments", Json::texts(arguments)),
            ("answer", optional(answer)),
            ("exists", Json::Bool(*exists)),
            ("failed", Json::Bool(*status != ExitStatus::Ok)),
        ],
        Step::Message(text) => {
            vec![("step", Json::from("message")), ("text", Json::text(text))]
        }
    })
}

fn destination(to: &Destination) -> Json {
    let mut fields = vec![
        ("mailer", Json::text(&to.mailer)),
        ("sender", Json::text(&to.sender)),
        ("sender_rewriting", steps(&to.sender_steps)),
        ("recipient", Json::text(&to.recipient)),
        ("argv", Json::texts(&to.argv)),
        ("remarks", Json::texts(&to.remarks)),
    ];
    let rights = |rights: &Option<(u32, u32)>| match rights {
        Some((uid, gid)) => Json::List(vec![Json::from(*uid), Json::from(*gid)]),
        None => Json::Null,
    };
    let (way, detail) = match &to.way {
        Way::Program { path, rights: of } => (
            "program",
            vec![("path", Json::text(path)), ("uid_gid", rights(of))],
        ),
        Way::File { path, rights: of } => (
            "file",
            vec![("path", Json::text(path)), ("uid_gid", rights(of))],
        ),
        Way::Socket { path } => ("socket", vec![("path", Json::text(path))]),
        Way::Hosts(hosts) => (
            "hosts",
            vec![("hosts", Json::List(hosts.iter().map(host).collect()))],
        ),
        Way::Nowhere {
            reason,
            is_temporary,
        } => (
            "nowhere",
            vec![
                ("reason", Json::from(reason.as_str())),
                ("temporary", Json::Bool(*is_temporary)),
            ],
        ),
    };
    fields.push(("way", Json::from(way)));
    fields.extend(detail);
    Json::Object(fields)
}

fn host(host: &super::destination::Host) -> Json {
    let preference = host.preference.map(u32::from);
    let mut fields = vec![
        ("preference", preference.map_or(Json::Null, Json::from)),
        ("host", Json::text(&host.name)),
        ("port", Json::from(u32::from(host.port))),
    ];
    match &host.addresses {
        Ok(addresses) => {
            let addresses = addresses.iter().map(|ip| Json::Text(ip.to_string()));
            fields.push(("addresses", Json::List(addresses.collect())));
        }
        Err(reason) => fields.push(("failure", Json::from(reason.as_str()))),
    }
    Json::Object(fields)
}
