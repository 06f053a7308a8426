//! The inside of the helper process: one loop, one thread.
//!
//! It waits for requests on the control socket and for the ends of the children
//! it started, and for nothing else. Each request brings a socket of its own for
//! the reply; that of a spawn stays open and later carries the child's end, or
//! the daemon's wish to kill it. When the control socket closes the daemon is
//! gone, and so are we; children go on, as they would with any mailer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::child::Child;
use super::privilege::{Direct, Privileged};
use super::spawn::{Ended, Running};
use super::wire::{Reader, Writer, receive, send};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// A listening socket.
    Bind,
    /// A file opened as a user.
    Open,
    /// A child.
    Spawn,
    /// A file given away.
    Give,
}

impl Request {
    const ALL: [Request; 4] = [Request::Bind, Request::Open, Request::Spawn, Request::Give];

    fn from_number(number: u64) -> Option<Request> {
        Self::ALL
            .into_iter()
            .find(|request| *request as u64 == number)
    }
}

/// The first number of a reply: whether a value or an error follows.
pub(super) const DONE: u64 = 0;
/// See [`DONE`].
pub(super) const FAILED: u64 = 1;

/// How often children are looked at where the kernel has no descriptors for processes.
const WATCH_INTERVAL_MILLISECONDS: u16 = 20;

/// A child and the socket its end is reported to, while anybody listens there.
struct Ward {
    child: Child,
    listener: Option<OwnedFd>,
}

/// Serves requests until the control socket closes.
pub(super) fn serve(control: &OwnedFd) -> io::Result<()> {
    let mut wards: Vec<Ward> = Vec::new();
    loop {
        let asked = wait(control, &wards)?;
        wards.retain_mut(|ward| !report_end(ward));
        if asked {
            let Some((text, fds)) = receive(control)? else {
                return Ok(());
            };
            if let Some(ward) = answer(&text, fds) {
                wards.push(ward);
            }
        }
    }
}

/// Waits for something to happen; kills wards whose listener asks for it.
///
/// Returns whether there is a request.
fn wait(control: &OwnedFd, wards: &[Ward]) -> io::Result<bool> {
    let mut polled = vec![PollFd::new(control.as_fd(), PollFlags::POLLIN)];
    let mut timeout = PollTimeout::NONE;
    for ward in wards {
        match ward.child.watch() {
            Some(watch) => polled.push(PollFd::new(watch.as_fd(), PollFlags::POLLIN)),
            None => timeout = WATCH_INTERVAL_MILLISECONDS.into(),
        }
    }
    let listeners: Vec<(usize, BorrowedFd<'_>)> = wards
        .iter()
        .enumerate()
        .filter_map(|(at, ward)| ward.listener.as_ref().map(|fd| (at, fd.as_fd())))
        .collect();
    let first_listener = polled.len();
    polled.extend(
        listeners
            .iter()
            .map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)),
    );
    match nix::poll::poll(&mut polled, timeout) {
        Ok(_) => {}
        Err(nix::Error::EINTR) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    for (slot, (at, fd)) in polled[first_listener..].iter().zip(&listeners) {
        let happened = slot.revents().unwrap_or(PollFlags::empty());
        if happened.contains(PollFlags::POLLIN)
            && is_kill_wish(*fd)
            && let Some(ward) = wards.get(*at)
        {
            ward.child.kill_group_now();
        }
    }
    Ok(polled[0]
        .revents()
        .is_some_and(|happened| !happened.is_empty()))
}

/// Takes one byte off a listener's socket; none there means the listener is gone.
fn is_kill_wish(fd: BorrowedFd<'_>) -> bool {
    let mut wish = [0_u8; 1];
    let flags = nix::sys::socket::MsgFlags::MSG_DONTWAIT;
    matches!(
        nix::sys::socket::recv(fd.as_raw_fd(), &mut wish, flags),
        Ok(1)
    )
}

/// Reports a ward that has ended; returns whether it has.
fn report_end(ward: &mut Ward) -> bool {
    // A listener that hung up would keep the poll awake; nobody is told then.
    if ward.listener.as_ref().is_some_and(has_hung_up) {
        ward.listener = None;
    }
    let ended = match ward.child.poll_end() {
        Ok(Ended::StillRunning) => return false,
        Ok(ended) => ended,
        // Its status was lost; the listener sees the socket close.
        Err(_) => return true,
    };
    if let Some(listener) = &ward.listener {
        let mut writer = Writer::default();
        writer.ended(ended);
        let _ = send(listener, &writer.0, &[]);
    }
    true
}

fn has_hung_up(fd: &OwnedFd) -> bool {
    let mut slot = [PollFd::new(fd.as_fd(), PollFlags::empty())];
    nix::poll::poll(&mut slot, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Answers one request; a spawn that worked gives a ward.
fn answer(text: &[u8], mut fds: Vec<OwnedFd>) -> Option<Ward> {
    if fds.is_empty() {
        return None;
    }
    let reply = fds.remove(0);
    let mut writer = Writer::default();
    match fulfil(text, fds, &mut writer) {
        Ok(Fulfilled::Descriptor(fd)) => {
            let _ = send(&reply, &writer.0, &[fd.as_fd()]);
            None
        }
        Ok(Fulfilled::Nothing) => {
            let _ = send(&reply, &writer.0, &[]);
            None
        }
        Ok(Fulfilled::Child(child)) => {
            let _ = send(&reply, &writer.0, &[]);
            Some(Ward {
                child: *child,
                listener: Some(reply),
            })
        }
        Err(error) => {
            let mut writer = Writer::default();
            writer.number(FAILED).io_error(&error);
            let _ = send(&reply, &writer.0, &[]);
            None
        }
    }
}

enum Fulfilled {
    Descriptor(OwnedFd),
    Child(Box<Child>),
    Nothing,
}

/// Does what is asked and writes the reply; errors are written by the caller.
fn fulfil(text: &[u8], mut fds: Vec<OwnedFd>, reply: &mut Writer) -> io::Result<Fulfilled> {
    let mut reader = Reader(text);
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    match Request::from_number(reader.number()?).ok_or_else(invalid)? {
        Request::Bind => {
            let fd = Direct.bind(&reader.listen_spec()?)?;
            reply.number(DONE);
            Ok(Fulfilled::Descriptor(fd))
        }
        Request::Open => match Direct.open_as(&reader.open_request()?) {
            Ok(opened) => {
                reply.number(DONE).opened(&opened);
                Ok(Fulfilled::Descriptor(opened.file.into()))
            }
            Err(error) => {
                reply.number(FAILED).open_error(&error);
                Ok(Fulfilled::Nothing)
            }
        },
        Request::Spawn => {
            let plan = reader.plan()?;
            let ends = fds.try_into().map_err(|_| invalid())?;
            let child = Child::start_with(&plan, ends)?;
            reply.number(DONE).small(child.process_id());
            Ok(Fulfilled::Child(Box::new(child)))
        }
        Request::Give => {
            let (uid, gid) = (reader.small()?, reader.small()?);
            let fd = fds.pop().ok_or_else(invalid)?;
            Direct.give_to(fd.as_fd(), uid, gid)?;
            reply.number(DONE);
            Ok(Fulfilled::Nothing)
        }
    }
}
