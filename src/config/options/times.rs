//! Parsers of `Timeout.*`, the old timeout list and QueueTimeout.
//!
//! Source: guide 4.1; observed: 8.17.1.9.

use crate::text::bytes;
use crate::text::interval::IntervalUnit::{self, Days, Hours, Minutes, Seconds};

use super::setting::Setting;
use super::timeouts::{ReturnAfter, Timeouts};
use super::value::{self, Interval};

/// Sets one timeout from an interval already read.
type Set = fn(&mut Timeouts, Interval, &[u8]);

struct TimeoutSpec {
    name: &'static str,
    /// Unit of a number that names none.
    unit: IntervalUnit,
    set: Set,
}

const fn spec(name: &'static str, unit: IntervalUnit, set: Set) -> TimeoutSpec {
    TimeoutSpec { name, unit, set }
}

fn age(interval: Interval) -> ReturnAfter {
    match interval {
        Interval::Now => ReturnAfter::Now,
        Interval::Seconds(_) => ReturnAfter::Age(interval.duration()),
    }
}

const TIMEOUTS: &[TimeoutSpec] = &[
    spec("initial", Minutes, |t, i, _| t.initial = i.duration()),
    spec("helo", Minutes, |t, i, _| t.helo = i.duration()),
    spec("mail", Minutes, |t, i, _| t.mail = i.duration()),
    spec("rcpt", Minutes, |t, i, _| t.rcpt = i.duration()),
    spec("datainit", Minutes, |t, i, _| t.datainit = i.duration()),
    spec("datablock", Minutes, |t, i, _| t.datablock = i.duration()),
    spec("datafinal", Minutes, |t, i, _| t.datafinal = i.duration()),
    spec("command", Minutes, |t, i, _| t.command = i.duration()),
    spec("rset", Minutes, |t, i, _| t.rset = i.duration()),
    spec("quit", Minutes, |t, i, _| t.quit = i.duration()),
    spec("misc", Minutes, |t, i, _| t.misc = i.duration()),
    spec("ident", Minutes, |t, i, _| t.ident = i.duration()),
    spec("fileopen", Minutes, |t, i, _| t.fileopen = i.duration()),
    spec("connect", Minutes, |t, i, _| t.connect = i.duration()),
    spec("iconnect", Minutes, |t, i, _| t.iconnect = i.duration()),
    spec("aconnect", Minutes, |t, i, _| t.aconnect = i.duration()),
    spec("queuewarn", Hours, set_all_warnings),
    spec("queuewarn.*", Hours, set_all_warnings),
    spec("queuewarn.normal", Hours, |t, i, _| {
        t.queuewarn.normal = i.duration()
    }),
    spec("queuewarn.urgent", Hours, |t, i, _| {
        t.queuewarn.urgent = i.duration()
    }),
    spec("queuewarn.non-urgent", Hours, |t, i, _| {
        t.queuewarn.non_urgent = i.duration()
    }),
    spec("queuewarn.dsn", Hours, |t, i, _| {
        t.queuewarn.dsn = i.duration()
    }),
    spec("queuereturn", Days, set_all_returns),
    spec("queuereturn.*", Days, set_all_returns),
    spec("queuereturn.normal", Days, |t, i, _| {
        t.queuereturn.normal = age(i)
    }),
    spec("queuereturn.urgent", Days, |t, i, _| {
        t.queuereturn.urgent = age(i)
    }),
    spec("queuereturn.non-urgent", Days, |t, i, _| {
        t.queuereturn.non_urgent = age(i)
    }),
    spec("queuereturn.dsn", Days, |t, i, _| {
        t.queuereturn.dsn = age(i)
    }),
    spec("hoststatus", Minutes, |t, i, _| t.hoststatus = i.duration()),
    spec("resolver.retrans", Seconds, |t, i, _| {
        t.resolver_retrans.first = Some(i.duration());
        t.resolver_retrans.normal = Some(i.duration());
    }),
    spec("resolver.retrans.first", Seconds, |t, i, _| {
        t.resolver_retrans.first = Some(i.duration());
    }),
    spec("resolver.retrans.normal", Seconds, |t, i, _| {
        t.resolver_retrans.normal = Some(i.duration());
    }),
    spec("resolver.retry", Minutes, |t, _, text| {
        t.resolver_retry.first = Some(value::count(text));
        t.resolver_retry.normal = Some(value::count(text));
    }),
    spec("resolver.retry.first", Minutes, |t, _, text| {
        t.resolver_retry.first = Some(value::count(text));
    }),
    spec("resolver.retry.normal", Minutes, |t, _, text| {
        t.resolver_retry.normal = Some(value::count(text));
    }),
    spec("control", Minutes, |t, i, _| t.control = i.duration()),
    spec("lhlo", Minutes, |t, i, _| t.lhlo = i.duration()),
    spec("auth", Minutes, |t, i, _| t.auth = i.duration()),
    spec("starttls", Minutes, |t, i, _| t.starttls = i.duration()),
];

fn set_all_warnings(timeouts: &mut Timeouts, interval: Interval, _: &[u8]) {
    timeouts.queuewarn = super::timeouts::ByUrgency::all(interval.duration());
}

fn set_all_returns(timeouts: &mut Timeouts, interval: Interval, _: &[u8]) {
    timeouts.queuereturn = super::timeouts::ByUrgency::all(age(interval));
}

/// Sets the timeout `name`.
fn set_timeout(setting: &mut Setting<'_>, name: &[u8], text: &[u8]) {
    if setting.out.traces(37, 2) {
        let line = [b"settimeout(".as_slice(), name, b" = ", text, b")"].concat();
        setting.out.trace(line);
    }
    let Some(spec) = TIMEOUTS
        .iter()
        .find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
    else {
        let text = [b"settimeout: invalid timeout ".as_slice(), name].concat();
        return setting.out.error(text);
    };
    if !setting.may_set_timeout(spec.name) {
        return;
    }
    // The reference reads every value in minutes first, so a bad unit in an option
    // that has another unit is told twice.
    let mut interval = setting.read_interval(text, Minutes);
    if spec.unit != Minutes {
        interval = setting.read_interval(text, spec.unit);
    }
    (spec.set)(&mut setting.options.timeouts, interval, text);
}

/// Reads `Timeout.name=value` and the old list `Timeout=value,name=value`.
pub fn timeout(setting: &mut Setting<'_>) {
    match setting.suboption {
        Some(name) => set_timeout(setting, name, setting.value),
        None => timeout_list(setting),
    }
}

/// Timeouts a bare value in the old list sets.
const OLD_TIMEOUTS: &[&str] = &[
    "mail",
    "rcpt",
    "datainit",
    "datablock",
    "datafinal",
    "command",
];

fn timeout_list(setting: &mut Setting<'_>) {
    let list = setting.value;
    if setting.out.traces(37, 2) {
        let line = [b"inittimeouts(".as_slice(), list, b")"].concat();
        setting.out.trace(line);
    }
    for item in list.split(|&byte| byte == b',') {
        let item = item.trim_ascii_start();
        if item.first().is_some_and(u8::is_ascii_digit) {
            let interval = setting.read_interval(item, Minutes);
            for spec in TIMEOUTS
                .iter()
                .filter(|spec| OLD_TIMEOUTS.contains(&spec.name))
            {
                (spec.set)(&mut setting.options.timeouts, interval, item);
            }
        } else if let Some((name, text)) =
            bytes::split_once(item, b':').or_else(|| bytes::split_once(item, b'='))
        {
            set_timeout(setting, name, text);
        }
    }
}

/// Reads QueueTimeout, `return/warn`.
pub fn queue_timeout(setting: &mut Setting<'_>) {
    let (give_up, warn) = match bytes::split_once(setting.value, b'/') {
        Some((give_up, warn)) => (give_up, Some(warn)),
        None => (setting.value, None),
    };
    if let Some(warn) = warn {
        set_timeout(setting, b"queuewarn", warn);
    }
    set_timeout(setting, b"queuereturn", give_up);
}
