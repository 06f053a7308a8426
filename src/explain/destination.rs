//! Where one final recipient goes: mailer, sender as it sees him, hosts, argument vector.
//!
//! Name servers are asked as delivery asks them; nobody is connected to.

use std::net::IpAddr;

use crate::client::connect::addresses_of;
use crate::delivery::attempt::{Outlook, outlook};
use crate::delivery::exchangers::{Asking, exchangers};
use crate::delivery::file::path_inside;
use crate::delivery::network_call::port_of;
use crate::delivery::plan::Transaction;
use crate::dns::Patience;
use crate::dns::mx::MxFailure;
use crate::envelope::Envelope;
use crate::macros::{ClassId, MacroTable};
use crate::mailer::{Invocation, Mailer, MailerTriple};
use crate::mta::{Mta, Workspace};
use crate::rewrite::{Place, Role, rename_for_mailer};

use super::steps::{Recorder, Step};

/// The port of a mailer that names none.
const SMTP_PORT: u16 = 25;

/// Where a recipient goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The mailer.
    pub mailer: Vec<u8>,
    /// The sender as the mailer sees him.
    pub sender: Vec<u8>,
    /// How he was rewritten.
    pub sender_steps: Vec<Step>,
    /// The recipient as the mailer sees him.
    pub recipient: Vec<u8>,
    /// The argument vector.
    pub argv: Vec<Vec<u8>>,
    /// What carries the message.
    pub way: Way,
    /// What else is to be known.
    pub remarks: Vec<String>,
}

/// What carries a message.
#[derive(Debug, Clone)]
pub enum Way {
    /// A program.
    Program {
        /// Its path.
        path: Vec<u8>,
        /// User and group it would get from root.
        rights: Option<(u32, u32)>,
    },
    /// A file is appended to.
    File {
        /// Its path.
        path: Vec<u8>,
        /// User and group it is opened with.
        rights: Option<(u32, u32)>,
    },
    /// A socket in the file system.
    Socket {
        /// Its path.
        path: Vec<u8>,
    },
    /// Hosts, tried in this order.
    Hosts(Vec<Host>),
    /// Nothing: no host takes the mail, or none is known now.
    Nowhere {
        /// Why.
        reason: String,
        /// It may be different later.
        is_temporary: bool,
    },
}

/// One host to try.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its preference; none when no MX record names it.
    pub preference: Option<u16>,
    /// Its name, or an address in brackets.
    pub name: Vec<u8>,
    /// The port.
    pub port: u16,
    /// Its addresses, or why there are none.
    pub addresses: Result<Vec<IpAddr>, String>,
}

/// Finds out where a recipient of an envelope goes.
pub fn destination(
    mta: &Mta,
    envelope: &Envelope,
    index: usize,
    triple: &MailerTriple,
    workspace: &mut Workspace,
    recorder: &Recorder,
) -> Destination {
    let mailer = mta.config.mailers.get(triple.mailer);
    let transaction = Transaction {
        mailer: triple.mailer,
        host: triple.host.clone(),
        recipients: vec![index],
    };
    let sender_steps = sender_steps(mta, envelope, mailer, workspace, recorder);
    let Outlook {
        sender,
        users,
        argv,
        rights,
    } = outlook(mta, envelope, &transaction, &mut workspace.rewrite);
    let second = argv.get(1).map_or(&b""[..], Vec::as_slice);
    let way = match mailer.invocation() {
        Invocation::Program => Way::Program {
            path: mailer.path.clone(),
            rights,
        },
        Invocation::File => {
            use std::os::unix::ffi::OsStrExt;
            let path = path_inside(&mta.config.options.security, second);
            Way::File {
                path: path.as_os_str().as_bytes().to_vec(),
                rights,
            }
        }
        Invocation::Network => network(mta, mailer, &argv),
    };
    let mut remarks = Vec::new();
    if mailer.has(b'e') && mta.config.options.delivering.hold_expensive {
        remarks.push("HoldExpensive: waits for the next run of the queue".to_owned());
    }
    if mailer.has(b'z') {
        remarks.push("speaks LMTP".to_owned());
    }
    Destination {
        mailer: mailer.name.clone(),
        sender,
        sender_steps,
        recipient: users.into_iter().next().unwrap_or_default(),
        argv,
        way,
        remarks,
    }
}

/// Rewrites the sender for the mailer, before the eyes of the recorder.
fn sender_steps(
    mta: &Mta,
    envelope: &Envelope,
    mailer: &Mailer,
    workspace: &mut Workspace,
    recorder: &Recorder,
) -> Vec<Step> {
    let given: &[u8] = match envelope.sender.is_null() {
        true => b"<>",
        false => &envelope.sender.address,
    };
    let mut front = MacroTable::new();
    let mut ear = recorder.clone();
    let mut cx = mta.rewrite_context(
        &mut front,
        Some(&envelope.macros),
        &mut ear,
        &mut workspace.rewrite,
    );
    // The result is that of the outlook; only the steps count here.
    let _ = rename_for_mailer(given, mailer, Role::Sender, Place::Envelope, &mut cx);
    recorder.take()
}

fn network(mta: &Mta, mailer: &Mailer, argv: &[Vec<u8>]) -> Way {
    let word = |at: usize| argv.get(at).map(Vec::as_slice);
    let target = word(1).unwrap_or_default();
    if word(0).is_some_and(|kind| kind.eq_ignore_ascii_case(b"FILE")) {
        return Way::Socket {
            path: target.to_vec(),
        };
    }
    let port = match word(2).map(port_of) {
        None => SMTP_PORT,
        Some(Some(port)) => port,
        Some(None) => {
            return Way::Nowhere {
                reason: "unknown port".to_owned(),
                is_temporary: false,
            };
        }
    };
    let classes = &mta.config.classes;
    let is_ourselves = |name: &[u8]| classes.contains(ClassId::letter(b'w'), name);
    let asking = Asking {
        mailer,
        options: &mta.config.options,
        resolver: &*mta.resolver,
        is_ourselves: &is_ourselves,
        patience: Patience::First,
    };
    let list = match exchangers(&asking, target) {
        Ok(list) => list,
        Err(failure) => return nowhere(&failure),
    };
    let only_to = mta.config.options.delivering.connect_only_to.as_deref();
    let hosts = list.exchangers.into_iter().map(|exchanger| {
        let asked = only_to.unwrap_or(&exchanger.host);
        let addresses = addresses_of(&*mta.resolver, asked, Patience::First);
        Host {
            preference: (!list.is_host_itself).then_some(exchanger.preference),
            port,
            addresses: addresses.map_err(|failure| failure.to_string()),
            name: exchanger.host,
        }
    });
    Way::Hosts(hosts.collect())
}

fn nowhere(failure: &MxFailure) -> Way {
    let (reason, is_temporary) = match failure {
        MxFailure::Lookup(failure) => (failure.to_string(), failure.is_temporary()),
        MxFailure::LoopsBack => (
            "its best mail exchanger is this host, though the domain is not ours".to_owned(),
            false,
        ),
        MxFailure::NullMx => (
            "the domain says that it takes no mail (null MX)".to_owned(),
            false,
        ),
    };
    Way::Nowhere {
        reason,
        is_temporary,
    }
}
