//! mailq: what is waiting (`sendmail -bp`).
//!
//! The listing itself is the queue's; here it gets its options from the
//! configuration, and what happened on the way goes to the log.
//!
//! Source: mailq(1); guide 2.3.2; observed: 8.17.1.9.

use std::io::Write;

use crate::logging::record::Severity;
use crate::mta::Mta;
use crate::queue::listing::{self, ListingForm, ListingOptions, ListingReport, LoadMark};
use crate::queue::{Complaint, ScanLimits, Selection};
use crate::smtp::ExitStatus;
use crate::sys::host::load_average;

/// Prints the queue.
pub fn run(mta: &Mta, selection: &Selection, out: &mut dyn Write) -> ExitStatus {
    let options = options_of(mta, selection);
    match listing::list(&mta.queue, &options, out) {
        Ok(report) => log_report(mta, &report),
        Err(error) => {
            // Observed: an unknown queue group is told, and is no failure.
            let _ = writeln!(out, "{error}");
        }
    }
    ExitStatus::Ok
}

fn options_of(mta: &Mta, selection: &Selection) -> ListingOptions {
    let options = &mta.config.options;
    let queueing = &options.queueing;
    let is_verbose = options.running.verbose;
    ListingOptions {
        form: if is_verbose {
            ListingForm::Long
        } else {
            ListingForm::Short
        },
        selection: selection.clone(),
        limits: ScanLimits {
            max_entries: usize::try_from(queueing.max_queue_run_size).unwrap_or(usize::MAX),
            min_age: queueing.min_queue_age,
            max_age: queueing.max_queue_age,
        },
        order: queueing.queue_sort_order,
        load: LoadMark {
            load: load_average().map_or(0, rounded),
            queue_la: i64::from(queueing.queue_la),
            queue_factor: queueing.queue_factor,
        },
        now: mta.clock.now(),
    }
}

fn log_report(mta: &Mta, report: &ListingReport) {
    for path in &report.cut {
        let limit = report.limit;
        mta.log.syslog(
            0,
            Severity::Warning,
            None,
            format_args!("WorkList for {path} maxed out at {limit}"),
        );
    }
    for complaint in &report.complaints {
        if let Complaint::General(text) = complaint {
            let text = format_args!("SYSERR(root): {text}");
            mta.log
                .syslog(0, Severity::Critical, Some(b"NOQUEUE"), text);
        }
    }
}

/// Rounds a load average to whole numbers, as the options are given.
fn rounded(load: f64) -> i64 {
    // Saturates: a load is a small number.
    load.round() as i64
}
