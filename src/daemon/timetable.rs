//! When queue runs begin and whether there is room for them, in the log with `-d69.10`.
//!
//! Each group is a work group of its own; those with more runners come first.
//! Observed: 8.17.1.9.

use std::cmp::Reverse;
use std::time::Duration;

use crate::logging::record::Severity;
use crate::mta::Mta;
use crate::queue::QueueGroup;

/// Category and level that tell of the timetable. Observed: 8.17.1.9.
const CATEGORY: u8 = 69;
const LEVEL: u8 = 10;

/// Gives the numbers of the groups that have runners, in the order they are looked at.
pub(super) fn order(groups: &[QueueGroup]) -> Vec<usize> {
    let with_runners = groups.iter().enumerate().filter(|(_, it)| it.runners > 0);
    let mut numbers: Vec<(usize, usize)> = with_runners.map(|(at, it)| (it.runners, at)).collect();
    numbers.sort_by_key(|(runners, _)| Reverse(*runners));
    numbers.into_iter().map(|(_, at)| at).collect()
}

/// What happens to one group in one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Its place in the round.
    pub place: usize,
    /// Its number.
    pub group: usize,
    /// The time between two runs of groups that have none of their own; zero for a single run.
    pub interval: Duration,
    /// How many runners are at work.
    pub running: usize,
    /// Whether this is the first round, in which every group is due.
    pub is_first: bool,
    /// How long it is until the group is due.
    pub rest: Duration,
    /// Whether there is room for its runners.
    pub has_room: bool,
}

impl Turn {
    /// Tells of the turn where that is wished for.
    pub(super) fn tell(&self, mta: &Mta) {
        if !mta.debug.is_on(CATEGORY, LEVEL) {
            return;
        }
        if let Some(group) = mta.queue.groups().get(self.group) {
            for line in self.lines(group, mta) {
                mta.log
                    .syslog(0, Severity::Info, None, format_args!("{line}"));
            }
        }
    }

    fn lines(&self, group: &QueueGroup, mta: &Mta) -> Vec<String> {
        let room = format!(
            "rq: i={0}, curnum={0}, MaxQueueChildren={1}, CurRunners={2}, \
             WorkGrp[curnum].wg_maxact={3}, skip={4}",
            self.place,
            mta.config.options.queueing.max_queue_children,
            self.running,
            group.runners,
            u8::from(!self.has_room),
        );
        if !self.has_room {
            return vec![room];
        }
        let own = group.interval.unwrap_or_default();
        let interval = group.interval.unwrap_or(self.interval);
        let is_scheduled = !interval.is_zero() && (self.is_first || self.rest.is_zero());
        let last = (mta.clock.now() + self.rest).seconds();
        let next = match is_scheduled {
            true => last.saturating_add_unsigned(interval.as_secs()),
            false => last,
        };
        let schedule = format!(
            "sqr: wgrp={}, cgrp=0, qgrp={}, intvl={}, QI={}, runall={}, lastrun={last}, \
             nextrun={next}, sched={}",
            self.place,
            self.group,
            own.as_secs(),
            self.interval.as_secs(),
            u8::from(self.is_first),
            u8::from(is_scheduled),
        );
        vec![room, schedule]
    }
}
