//! hoststat: what is known of other hosts (`sendmail -bh`).
//!
//! Source: hoststat(8); guide 4.7; columns observed: 8.17.1.9.

use std::io::{self, Write};

use crate::config::Config;
use crate::host_status::{HostStatusDirectory, Listed};
use crate::smtp::ExitStatus;
use crate::sys::clock::{Clock, SystemClock, Timestamp};
use crate::text::interval::format_interval;

/// Columns of the host's name.
const HOST_WIDTH: usize = 39;

/// Columns of the result in the short form.
const RESULT_WIDTH: usize = 25;

/// Prints the status of all hosts on standard output.
pub fn run(config: &Config, is_verbose: bool) -> ExitStatus {
    let Some(path) = super::host_status_path(config) else {
        return ExitStatus::Ok;
    };
    let Ok(hosts) = HostStatusDirectory::new(path).list() else {
        return ExitStatus::Ok;
    };
    let mut out = io::stdout().lock();
    // A reader who went away is no failure.
    let _ = print(&hosts, is_verbose, SystemClock.now(), &mut out);
    ExitStatus::Ok
}

fn print(
    hosts: &[Listed],
    is_verbose: bool,
    now: Timestamp,
    out: &mut dyn Write,
) -> io::Result<()> {
    if hosts.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        " -------------- Hostname --------------- How long ago ---------Results---------"
    )?;
    for listed in hosts {
        let mark = if listed.is_locked { '*' } else { ' ' };
        let name = String::from_utf8_lossy(&listed.host).into_owned();
        let result = listed.record.shown(&|number| system_text(number));
        let result = String::from_utf8_lossy(&result).into_owned();
        let ago = format_interval(now.since(Timestamp::from_seconds(listed.record.updated)));
        let result = match is_verbose {
            true => result,
            false => cut(&result, RESULT_WIDTH),
        };
        writeln!(out, "{mark}{name:<HOST_WIDTH$} {ago:>12} {result}")?;
    }
    Ok(())
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// Words a system error as the C library does.
fn system_text(number: i32) -> String {
    let text = io::Error::from_raw_os_error(number).to_string();
    let end = text.find(" (os error ").unwrap_or(text.len());
    text.get(..end).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_status::HostRecord;

    fn listed(host: &str, text: &str, is_locked: bool) -> Listed {
        let record = HostRecord::parse(text.as_bytes()).unwrap();
        Listed {
            host: host.as_bytes().to_vec(),
            record,
            is_locked,
        }
    }

    #[test]
    fn rows_as_observed() {
        let hosts = [
            listed(
                "mx1.far.test",
                "V0\nE0\nH0\nS0\nD2.0.0\nR250 2.0.0 stored as X1\nU100\n.\n",
                false,
            ),
            listed("closed.test", "V0\nE111\nH0\nS75\nD4.4.1\nU100\n.\n", true),
        ];
        let mut out = Vec::new();
        print(&hosts, false, Timestamp::from_seconds(101), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                " mx1.far.test                                00:00:01 250 2.0.0 stored as X1",
                "*closed.test                                 00:00:01 Deferred: Connection refu",
            ]
        );
    }
}
