//! From the command line to what submission wants to know.

use crate::config::{Config, OverrideSetting};
use crate::macros::MacroTable;
use crate::submit::SubmitArguments;
use crate::sys::process::real_user;

use super::arguments::{Arguments, ConfigurationChoice};
use super::mode::OperationMode;
use super::start::Surroundings;

/// Collects what the command line and the environment say about a message.
pub fn submission(
    arguments: &Arguments,
    surroundings: &Surroundings,
    config: &Config,
) -> SubmitArguments {
    let caller = real_user();
    let mut macros = MacroTable::new();
    if let Some((protocol, host)) = &arguments.protocol {
        macros.set_text(crate::macros::MacroId::R, protocol);
        if let Some(host) = host {
            macros.set_text(crate::macros::MacroId::S, host);
        }
    }
    SubmitArguments {
        recipients: arguments.recipients.clone(),
        recipients_from_header: arguments.recipients_from_header,
        ignore_dots: arguments.ignore_dots || config.options.receiving.ignore_dots,
        sender: arguments
            .sender
            .as_ref()
            .map(|sender| (sender.address.clone(), sender.flag)),
        full_name: arguments.full_name.clone(),
        hop_count: arguments.hop_count.unwrap_or(0),
        notify: arguments.notify,
        ret: arguments.dsn_return,
        ret_text: arguments.dsn_return_text.clone(),
        notify_text: arguments.notify_text.clone(),
        envid: arguments.envelope_id.clone(),
        body_type: arguments.body_type,
        smtp_utf8: arguments.smtp_utf8,
        arpanet: arguments.mode == OperationMode::Arpanet,
        relay: arguments.relay,
        no_alias: arguments.no_alias,
        macros,
        uid: caller,
        name_variable: surroundings.name.clone(),
        home_variable: surroundings.home.clone(),
        foreign_config: match &arguments.configuration {
            ConfigurationChoice::File(path) if caller != 0 => Some(path.clone()),
            _ => None,
        },
        foreign_queue: caller != 0 && chooses_queue(arguments),
    }
}

/// Tells whether the command line says which queue to work in.
fn chooses_queue(arguments: &Arguments) -> bool {
    let names_queue = |setting: &OverrideSetting| match setting {
        OverrideSetting::Letter(letter, _) => *letter == b'Q',
        OverrideSetting::Named(text) => {
            let name = text.split(|&byte| byte == b'=').next();
            name.is_some_and(|name| name.eq_ignore_ascii_case(b"QueueDirectory"))
        }
        OverrideSetting::Macro(_) => false,
    };
    matches!(arguments.configuration, ConfigurationChoice::File(_))
        || arguments.settings.iter().any(names_queue)
}
