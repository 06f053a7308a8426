//! The control socket: one line in, a short answer out.
//!
//! Off unless ControlSocketName is set. The socket lies in the file system with
//! mode 0660, so the directory and its group say who may ask. One question a
//! connection, answered by one thread, one after the other.
//!
//! Source: guide 5.6; commands and answers, observed: 8.17.1.9.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::control::{Control, Current, Way};
use crate::macros::MacroId;
use crate::mta::Mta;
use crate::server::help_file;
use crate::sys::host::{free_space, load_average};
use crate::sys::process::process_id;
use crate::sys::socket::{ListenAddress, ListenSpec, accept};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest question, in bytes.
const MAX_QUESTION: usize = 2_048;
/// Stack of the thread, in bytes.
const STACK: usize = 256 * 1024;

/// What can be told about the daemon.
pub struct State {
    /// The configuration in force.
    pub current: Arc<Current>,
    /// How many children there are; written by the accept thread.
    pub children: Arc<AtomicUsize>,
}

/// An open control socket; dropping it removes its name.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl ControlSocket {
    /// Opens the socket the configuration names and answers on it; `None` without one.
    ///
    /// `ask` takes requests to the accept thread.
    pub fn open(
        state: State,
        ask: impl Fn(Control) -> bool + Send + 'static,
    ) -> Option<ControlSocket> {
        let mta = state.current.get();
        let path = mta.config.options.running.control_socket_name.clone()?;
        let opened = bind(&mta, &path).and_then(|listener| {
            thread::Builder::new()
                .name("control-socket".into())
                .stack_size(STACK)
                .spawn(move || answer_all(&listener, &state, &ask))
        });
        match opened {
            Ok(_) => Some(ControlSocket { path }),
            Err(error) => {
                log::warn!("cannot open the control socket {}: {error}", path.display());
                None
            }
        }
    }
}

fn bind(mta: &Mta, path: &Path) -> io::Result<OwnedFd> {
    let spec = ListenSpec::new(ListenAddress::Local(path.to_owned()));
    let listener = mta.privileged.bind(&spec)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

fn answer_all(listener: &OwnedFd, state: &State, ask: &impl Fn(Control) -> bool) {
    loop {
        match accept(listener, false) {
            Ok(Some(client)) => {
                // A client who leaves without listening has had his answer.
                let _ = answer_one(client.into(), state, ask);
            }
            Ok(None) => {}
            Err(error) => {
                log::warn!("control socket: {error}");
                thread::sleep(PATIENCE);
            }
        }
    }
}

fn answer_one(
    mut client: UnixStream,
    state: &State,
    ask: &impl Fn(Control) -> bool,
) -> io::Result<()> {
    client.set_write_timeout(Some(PATIENCE))?;
    // Whoever asks nothing gets no answer. Observed: 8.17.1.9.
    let Some(line) = read_line(&mut client)? else {
        return Ok(());
    };
    let question = line.trim_ascii();
    let word = question
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    match word.to_ascii_lowercase().as_slice() {
        b"help" => client.write_all(&help(&state.current.get())),
        b"status" => client.write_all(status(state).as_bytes()),
        b"mstat" => client.write_all(machine_status(state).as_bytes()),
        b"memdump" => client.write_all(
            b"Memory dump unavailable.\r\nTo fix, run sendmail with -dsm_check_heap.4\r\n",
        ),
        b"restart" => {
            client.write_all(b"OK\r\n")?;
            ask(Control::Reload(Way::ControlSocket));
            Ok(())
        }
        b"shutdown" => {
            client.write_all(b"OK\r\n")?;
            ask(Control::Shutdown(Way::ControlSocket));
            Ok(())
        }
        _ => {
            let shown = crate::text::bytes::printable(word);
            client.write_all(format!("Bad command ({shown})\r\n").as_bytes())
        }
    }
}

/// Reads up to the end of the line, which is not returned; `None` if there is nothing at all.
fn read_line(client: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    let mut line = Vec::new();
    let mut buffer = [0_u8; MAX_QUESTION];
    while line.len() < MAX_QUESTION && !line.contains(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now());
        // Zero would mean to wait for ever.
        client.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match client.read(&mut buffer)? {
            0 => break,
            length => line.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }
    if line.is_empty() {
        return Ok(None);
    }
    let end = line
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(line.len());
    line.truncate(end);
    Ok(Some(line))
}

/// Children, most children, free kilobytes, load: as the reference counts them.
fn numbers(state: &State) -> (usize, u32, i64, i64) {
    let config = &state.current.get().config;
    let queue = config
        .options
        .queueing
        .queue_directory
        .as_deref()
        .unwrap_or(b"/");
    let kilobytes = free_space(crate::sys::file::path_of(queue))
        .ok()
        .and_then(|space| i64::try_from(space.blocks.saturating_mul(space.block_size) / 1_024).ok())
        .unwrap_or(-1);
    let load = load_average().unwrap_or(-1.0).round().clamp(-1.0, 1e6) as i64;
    let children = state.children.load(Ordering::Relaxed);
    (
        children,
        config.options.receiving.max_daemon_children,
        kilobytes,
        load,
    )
}

fn status(state: &State) -> String {
    let (children, max, kilobytes, load) = numbers(state);
    format!(
        "{children}/{max}/{kilobytes}/{load}\r\n{} accepting connections\r\n",
        process_id()
    )
}

fn machine_status(state: &State) -> String {
    let (children, max, kilobytes, load) = numbers(state);
    format!(
        "C:{children}\r\nM:{max}\r\nL:{load}\r\nQ:NOTCONFIGURED:-1\r\nD:0/./{kilobytes}\r\n\
         P:{} accepting connections\r\n",
        process_id()
    )
}

/// The lines of topic `control`, whatever was asked about. Observed: 8.17.1.9.
fn help(mta: &Mta) -> Vec<u8> {
    let config = &mta.config;
    let path = config.options.running.help_file.as_deref();
    let policy = config.options.security.dont_blame_sendmail;
    let Some(lines) = path.and_then(|path| help_file::read(path, policy)) else {
        let version = config.expanded_macro(MacroId::V);
        let text = [
            b"502 5.3.0 Sendmail ",
            version.as_slice(),
            b" -- HELP not implemented\r\n",
        ];
        return text.concat();
    };
    let found = help_file::topic_lines(&lines, b"control", None, <[u8]>::to_vec);
    if found.is_empty() {
        return b"504 5.3.0 HELP topic \"control\" unknown\r\n".to_vec();
    }
    let mut text = Vec::new();
    for line in found {
        text.extend_from_slice(&[b"214-2.0.0 ", line.as_slice(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"214 2.0.0 End of HELP info\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_its_newline_at_the_end_or_when_it_is_too_long() {
        let long = vec![b'x'; 4_000];
        for (sent, read) in [
            (&b"status\r\nmore"[..], Some(b"status\r".to_vec())),
            (b"status", Some(b"status".to_vec())),
            (b"\n", Some(Vec::new())),
            (b"", None),
            (&long, Some(long[..MAX_QUESTION].to_vec())),
        ] {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(sent).unwrap();
            drop(theirs);
            assert_eq!(read_line(&mut ours).unwrap(), read);
        }
    }
}
