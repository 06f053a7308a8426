//! The gate: how many may come in, and how fast.
//!
//! Kept by the accept thread alone; nothing here sleeps, logs or touches a
//! socket. [`Gate::refusal`] says why a port must not accept now and when to ask
//! again; the accept thread takes the listener out of its poll until then. What
//! ends a child's place puts it back at once.
//!
//! Source: guide 4.6 and 5.6 (MaxDaemonChildren, ConnectionRateThrottle, RefuseLA).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::server::connection::Rates;

/// How often the load average is read at most.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);
/// When a port refused for load is looked at again.
const LOAD_PAUSE: Duration = Duration::from_secs(5);
/// The most connections remembered for rates.
const MAX_REMEMBERED: usize = 100_000;

/// What the configuration says about one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortLimits {
    /// `Name=`, for messages.
    pub name: String,
    /// Most children of this port; `None` is no limit of its own.
    pub max_children: Option<usize>,
    /// Load average at which it refuses; 0 never.
    pub refuse_load: u32,
    /// Load average at which its sessions are slowed down; 0 never.
    pub delay_load: u32,
}

/// What the configuration says about all ports together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateLimits {
    /// MaxDaemonChildren; `None` is no limit.
    pub max_children: Option<usize>,
    /// The most sessions our descriptors allow.
    pub max_sessions: usize,
    /// ConnectionRateThrottle; 0 is no limit.
    pub per_second: u32,
    /// ConnectionRateWindowSize.
    pub rate_window: Duration,
    /// Each port, by index.
    pub ports: Vec<PortLimits>,
}

/// Why a port must not accept now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many children; asked again when one ends.
    Children {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// Too many connections in this second.
    Rate {
        /// How many are allowed.
        per_second: u32,
        /// When to ask again.
        until: Instant,
    },
    /// The machine is too busy.
    Load {
        /// The load average, rounded.
        average: u32,
        /// When to ask again.
        until: Instant,
    },
    /// Descriptors are short; asked again when a session ends.
    Descriptors,
}

impl Refusal {
    /// Returns when to ask again, if not when a place becomes free.
    pub fn until(&self) -> Option<Instant> {
        match self {
            Refusal::Rate { until, .. } | Refusal::Load { until, .. } => Some(*until),
            Refusal::Children { .. } | Refusal::Descriptors => None,
        }
    }

    /// Says whether both are of one kind, so that the second need not be logged.
    pub fn is_like(&self, other: &Refusal) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Writes the log line and process title for a port.
    pub fn message(&self, port: &str) -> String {
        match self {
            Refusal::Rate { .. } => format!("deferring connections on daemon {port}: {self}"),
            Refusal::Children { .. } | Refusal::Load { .. } | Refusal::Descriptors => {
                format!("rejecting connections on daemon {port}: {self}")
            }
        }
    }
}

impl fmt::Display for Refusal {
    /// Writes the reason as the reference logs it. Observed: 8.17.1.9.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Children { count, max } => write!(f, "{count} children, max {max}"),
            Refusal::Rate { per_second, .. } => write!(f, "{per_second} per second"),
            Refusal::Load { average, .. } => write!(f, "load average: {average}"),
            Refusal::Descriptors => f.write_str("too few file descriptors"),
        }
    }
}

/// Where a session came in; kept by it and given back when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the port.
    pub port: usize,
    /// The client; `None` while a proxy has not told who it is.
    pub client: Option<IpAddr>,
}

/// Counts of everything that came in and is still here.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    sessions: usize,
    by_port: HashMap<usize, usize>,
    by_client: HashMap<IpAddr, u32>,
    /// Deliveries running now; written by the delivery threads.
    deliveries: Arc<AtomicUsize>,
    bucket: Bucket,
    recent: Recent,
    load: (Option<Instant>, f64),
    /// When it was last told that sessions are slowed down.
    delay_told: Option<Instant>,
}

impl Gate {
    /// Makes an empty gate; `deliveries` is counted elsewhere.
    pub fn new(limits: GateLimits, deliveries: Arc<AtomicUsize>, now: Instant) -> Self {
        Gate {
            bucket: Bucket::full(limits.per_second, now),
            recent: Recent::default(),
            limits,
            sessions: 0,
            by_port: HashMap::new(),
            by_client: HashMap::new(),
            deliveries,
            load: (None, 0.0),
            delay_told: None,
        }
    }

    /// Takes new limits (reload); who is in stays in.
    pub fn set_limits(&mut self, limits: GateLimits, now: Instant) {
        if limits.per_second != self.limits.per_second {
            self.bucket = Bucket::full(limits.per_second, now);
        }
        self.limits = limits;
    }

    /// Returns the number of open sessions.
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// Returns the number of children the daemon has in the reference's sense.
    pub fn children(&self) -> usize {
        self.sessions + self.deliveries.load(Ordering::Relaxed)
    }

    /// Says why a port must not accept one more connection now, if so.
    ///
    /// `load` reads the load average; it is asked once a second at most.
    pub fn refusal(
        &mut self,
        port: usize,
        now: Instant,
        load: impl FnOnce() -> f64,
    ) -> Option<Refusal> {
        if let Some(refusal) = self.children_refusal(port) {
            return Some(refusal);
        }
        if self.sessions >= self.limits.max_sessions {
            return Some(Refusal::Descriptors);
        }
        let refuse_load = self
            .limits
            .ports
            .get(port)
            .map_or(0, |port| port.refuse_load);
        if refuse_load > 0 {
            let average = self.load_average(now, load);
            if average >= refuse_load {
                return Some(Refusal::Load {
                    average,
                    until: now + LOAD_PAUSE,
                });
            }
        }
        let per_second = self.limits.per_second;
        self.bucket
            .wait(now)
            .map(|until| Refusal::Rate { per_second, until })
    }

    /// Reads the load average, at most once a second, and rounds it.
    fn load_average(&mut self, now: Instant, load: impl FnOnce() -> f64) -> u32 {
        let is_due = |read| now.duration_since(read) >= LOAD_INTERVAL;
        if self.load.0.is_none_or(is_due) {
            self.load = (Some(now), load());
        }
        self.load.1.round().clamp(0.0, 1e6) as u32
    }

    /// Says how busy the machine is if sessions of a port are slowed down for it, once in a while
    /// (DelayLA); the sessions slow down by themselves.
    pub fn delay_to_tell(
        &mut self,
        port: usize,
        now: Instant,
        load: impl FnOnce() -> f64,
    ) -> Option<String> {
        let limits = self.limits.ports.get(port)?;
        let (limit, name) = (limits.delay_load, limits.name.clone());
        if limit == 0 || self.delay_told.is_some_and(|told| now - told < LOAD_PAUSE) {
            return None;
        }
        let average = self.load_average(now, load);
        if average < limit {
            return None;
        }
        self.delay_told = Some(now);
        Some(format!(
            "delaying connections on daemon {name}: load average={average} >= {limit}"
        ))
    }

    fn children_refusal(&self, port: usize) -> Option<Refusal> {
        let count = self.children();
        if let Some(max) = self.limits.max_children
            && count >= max
        {
            return Some(Refusal::Children { count, max });
        }
        let max = self.limits.ports.get(port)?.max_children?;
        let count = self.by_port.get(&port).copied().unwrap_or(0);
        (count >= max).then_some(Refusal::Children { count, max })
    }

    /// Counts a connection in and returns its rates.
    pub fn enter(&mut self, place: Place, now: Instant) -> Rates {
        self.sessions += 1;
        *self.by_port.entry(place.port).or_default() += 1;
        self.bucket.take();
        match place.client {
            Some(client) => self.count_client(client, now),
            None => Rates::default(),
        }
    }

    /// Counts the client of a connection that came in without one; returns its rates.
    pub fn name_client(&mut self, place: &mut Place, client: IpAddr, now: Instant) -> Rates {
        place.client = Some(client);
        self.count_client(client, now)
    }

    fn count_client(&mut self, client: IpAddr, now: Instant) -> Rates {
        let open = self.by_client.entry(client).or_default();
        *open += 1;
        let client_connections = *open;
        let (client_rate, total_rate) = self.recent.add(client, now, self.limits.rate_window);
        Rates {
            client_connections,
            client_rate,
            total_rate,
        }
    }

    /// Counts a session out.
    pub fn leave(&mut self, place: Place) {
        self.sessions = self.sessions.saturating_sub(1);
        if let Some(count) = self.by_port.get_mut(&place.port) {
            *count = count.saturating_sub(1);
        }
        if let Some(client) = place.client
            && let Some(count) = self.by_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}

/// A token bucket of one second's worth of connections.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn full(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Bucket {
            per_second,
            tokens: per_second,
            filled: now,
        }
    }

    /// Returns until when there is no token.
    fn wait(&mut self, now: Instant) -> Option<Instant> {
        if self.per_second == 0.0 {
            return None;
        }
        let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.per_second);
        self.filled = now;
        if self.tokens >= 1.0 {
            return None;
        }
        Some(now + Duration::from_secs_f64((1.0 - self.tokens) / self.per_second))
    }

    fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

/// The connections of the rate window.
#[derive(Debug, Default)]
struct Recent {
    in_order: VecDeque<(Instant, IpAddr)>,
    by_client: HashMap<IpAddr, u32>,
}

impl Recent {
    /// Adds a connection; returns how many this client made in the window, and how many all did.
    fn add(&mut self, client: IpAddr, now: Instant, window: Duration) -> (u32, u32) {
        while let Some((time, old)) = self.in_order.front().copied() {
            if now.duration_since(time) < window && self.in_order.len() < MAX_REMEMBERED {
                break;
            }
            self.in_order.pop_front();
            if let Some(count) = self.by_client.get_mut(&old) {
                *count -= 1;
                if *count == 0 {
                    self.by_client.remove(&old);
                }
            }
        }
        self.in_order.push_back((now, client));
        let count = self.by_client.entry(client).or_default();
        *count += 1;
        (
            *count,
            u32::try_from(self.in_order.len()).unwrap_or(u32::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limits: GateLimits) -> (Gate, Instant, Arc<AtomicUsize>) {
        let (now, deliveries) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        (
            Gate::new(limits, Arc::clone(&deliveries), now),
            now,
            deliveries,
        )
    }

    fn limits() -> GateLimits {
        GateLimits {
            max_children: None,
            max_sessions: 1_000,
            per_second: 0,
            rate_window: Duration::from_secs(60),
            ports: vec![PortLimits {
                name: "MTA".into(),
                max_children: None,
                refuse_load: 0,
                delay_load: 0,
            }],
        }
    }

    fn place(last: u8) -> Place {
        Place {
            port: 0,
            client: Some(IpAddr::from([127, 0, 0, last])),
        }
    }

    fn idle() -> f64 {
        0.0
    }

    #[test]
    fn sessions_and_deliveries_count_as_children() {
        let (mut gate, now, deliveries) = gate(GateLimits {
            max_children: Some(2),
            ..limits()
        });
        gate.enter(place(1), now);
        assert_eq!(gate.refusal(0, now, idle), None);
        deliveries.store(1, Ordering::Relaxed);
        let refusal = gate.refusal(0, now, idle).unwrap();
        assert_eq!(
            refusal.message("MTA"),
            "rejecting connections on daemon MTA: 2 children, max 2"
        );
        gate.leave(place(1));
        assert_eq!(gate.refusal(0, now, idle), None);
    }

    #[test]
    fn a_port_may_have_a_limit_of_its_own() {
        let mut limits = limits();
        limits.ports[0].max_children = Some(1);
        let (mut gate, now, _) = gate(limits);
        gate.enter(place(1), now);
        assert_eq!(
            gate.refusal(0, now, idle),
            Some(Refusal::Children { count: 1, max: 1 })
        );
        assert_eq!(gate.refusal(1, now, idle), None);
    }

    #[test]
    fn the_rate_is_a_bucket_of_one_second() {
        let (mut gate, now, _) = gate(GateLimits {
            per_second: 4,
            ..limits()
        });
        for _ in 0..4 {
            assert_eq!(gate.refusal(0, now, idle), None);
            gate.enter(place(1), now);
        }
        let refusal = gate.refusal(0, now, idle).unwrap();
        assert_eq!(
            refusal.message("MTA"),
            "deferring connections on daemon MTA: 4 per second"
        );
        let later = refusal.until().unwrap();
        assert!(later - now <= Duration::from_millis(251));
        assert_eq!(
            gate.refusal(0, later + Duration::from_millis(1), idle),
            None
        );
    }

    #[test]
    fn load_is_read_once_a_second_and_compared_rounded() {
        let mut limits = limits();
        limits.ports[0].refuse_load = 12;
        let (mut gate, now, _) = gate(limits);
        let refusal = gate.refusal(0, now, || 11.6).unwrap();
        assert_eq!(
            refusal.message("MTA"),
            "rejecting connections on daemon MTA: load average: 12"
        );
        let unread = || -> f64 { panic!("read again within the second") };
        assert!(
            gate.refusal(0, now + Duration::from_millis(500), unread)
                .is_some()
        );
        assert_eq!(gate.refusal(0, now + Duration::from_secs(1), || 11.4), None);
    }

    #[test]
    fn a_client_may_be_named_later() {
        let (mut gate, now, _) = gate(limits());
        let mut place = Place {
            port: 0,
            client: None,
        };
        assert_eq!(gate.enter(place, now), Rates::default());
        let ip = IpAddr::from([192, 0, 2, 7]);
        let rates = gate.name_client(&mut place, ip, now);
        assert_eq!((rates.client_connections, rates.client_rate), (1, 1));
        gate.leave(place);
        assert_eq!(gate.sessions(), 0);
        assert!(gate.by_client.is_empty());
    }

    #[test]
    fn a_delay_is_told_once_in_a_while() {
        let mut limits = limits();
        limits.ports[0].delay_load = 5;
        let (mut gate, now, _) = gate(limits);
        assert_eq!(gate.delay_to_tell(0, now, || 4.4), None);
        let later = now + LOAD_INTERVAL;
        assert_eq!(
            gate.delay_to_tell(0, later, || 6.0).unwrap(),
            "delaying connections on daemon MTA: load average=6 >= 5"
        );
        assert_eq!(gate.delay_to_tell(0, later + LOAD_INTERVAL, || 6.0), None);
        let again = gate.delay_to_tell(0, later + LOAD_PAUSE, || 6.0);
        assert!(again.is_some());
        assert_eq!(gate.refusal(0, later + LOAD_PAUSE, idle), None);
    }

    #[test]
    fn rates_are_counted_by_client_within_the_window() {
        let (mut gate, now, _) = gate(limits());
        gate.enter(place(1), now);
        gate.leave(place(1));
        let rates = gate.enter(place(1), now + Duration::from_secs(30));
        assert_eq!(
            (
                rates.client_connections,
                rates.client_rate,
                rates.total_rate
            ),
            (1, 2, 2)
        );
        let rates = gate.enter(place(2), now + Duration::from_secs(31));
        assert_eq!(
            (
                rates.client_connections,
                rates.client_rate,
                rates.total_rate
            ),
            (1, 1, 3)
        );
        let rates = gate.enter(place(1), now + Duration::from_secs(61));
        assert_eq!(
            (
                rates.client_connections,
                rates.client_rate,
                rates.total_rate
            ),
            (2, 2, 3)
        );
    }
}
