//! A session on standard input and output (`-bs`).
//!
//! One blocking loop around [`Session::step`]: a pipe from a local program, a
//! terminal, or a socket handed over by a super-server.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::connection::{Connection, ConnectionKind, Rates};
use super::session::{Input, Interest, Outlet, Session, Step};
use crate::mta::{Mta, Workspace};
use crate::smtp::ExitStatus;
use crate::sys::socket::{Readiness, is_socket, local_address, peer_address, wait_ready};

/// Octets read at a time; more than the buffer of standard input, which is then passed by, so that
/// waiting for the descriptor tells the truth.
const READ_SIZE: usize = 16_384;

/// Serves one session on standard input and output and returns the exit status of the program.
///
/// `login` is the name of whoever runs the program.
pub fn serve(
    mta: Arc<Mta>,
    login: &[u8],
    workspace: &mut Workspace,
    outlet: &dyn Outlet,
) -> ExitStatus {
    let (input, output) = (io::stdin().lock(), io::stdout().lock());
    let connection = connection_of(&input, login);
    let mut session = Session::new(mta, connection);
    // A broken pipe ends the session; there is nobody left to tell.
    let _ = converse(&mut session, input, output, workspace, outlet);
    session.exit_status()
}

/// Looks at what standard input is.
fn connection_of(input: &impl AsFd, login: &[u8]) -> Connection {
    let kind = match (peer_address(input), is_socket(input)) {
        (Some(_), _) => ConnectionKind::Network,
        (None, true) => ConnectionKind::LocalSocket,
        (None, false) => ConnectionKind::Pipe {
            user: login.to_vec(),
        },
    };
    Connection {
        peer: peer_address(input),
        local: local_address(input),
        port: None,
        kind,
        proxy: None,
        rates: Rates::default(),
    }
}

fn converse<I: Read + AsFd, O: Write>(
    session: &mut Session,
    mut input: I,
    mut output: O,
    workspace: &mut Workspace,
    outlet: &dyn Outlet,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_SIZE];
    let mut replies = Vec::new();
    let mut step = session.step(Input::Start, &mut replies, workspace, outlet);
    loop {
        let written = output.write_all(&replies).and_then(|()| output.flush());
        replies.clear();
        let Step::Park { interest, deadline } = step else {
            return written;
        };
        let event = match (written, interest) {
            (Err(_), _) => Input::Closed,
            (Ok(()), Interest::Timer) => {
                std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
                Input::Resume
            }
            (Ok(()), Interest::Read) => {
                if !wait_ready(input.as_fd(), Readiness::Read, Some(deadline))? {
                    Input::TimedOut
                } else {
                    match input.read(&mut buffer) {
                        Ok(0) => Input::Closed,
                        Ok(length) => Input::Bytes(buffer.get(..length).unwrap_or(b"")),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(_) => Input::Closed,
                    }
                }
            }
        };
        step = session.step(event, &mut replies, workspace, outlet);
    }
}
