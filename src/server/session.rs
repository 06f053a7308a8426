//! The session: a protocol machine without sockets.
//!
//! The owner of the connection calls [`Session::step`] with what happened (the
//! start, octets, the end, the passing of a deadline) and gets reply octets and
//! a [`Step`]: wait for the client, wait for time, or close. Real work
//! (rewriting, maps, DNS, queue) happens inside the call and blocks only the
//! thread that makes it. A whole dialogue therefore runs in a unit test.
//!
//! Delays that slow a client down are times to be parked for; replies made
//! meanwhile are held back until then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collect::Collected;
use super::connection::{Client, Connection};
use super::features::Features;
use super::filters::Filters;
use super::guard::Guard;
use super::haste::Haste;
use super::secure::{Beginning, Secure};
use super::state::{Hello, State, Transaction};
use super::wording;
use crate::envelope::Envelope;
use crate::logging::record::Severity;
use crate::macros::MacroTable;
use crate::mta::{Mta, Workspace};
use crate::queue::LockedEnvelope;
use crate::smtp::line::{Line, LineReader, MAX_COMMAND_LINE};
use crate::smtp::{ExitStatus, Reply};
use crate::text::bytes::escape_for_display;
use crate::tls::ServerSide;

/// Octets of one line after which its end is not waited for.
const MAX_LINE_READ: usize = 65_536;

/// What happened to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The connection was accepted.
    Start,
    /// The client sent these octets.
    Bytes(&'a [u8]),
    /// The client closed its side, or the connection broke.
    Closed,
    /// The deadline of a wait for the client passed.
    TimedOut,
    /// The deadline of a wait for time passed.
    Resume,
}

/// What a parked session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Octets from the client.
    Read,
    /// Time alone; octets stay where they are.
    Timer,
}

/// What the owner of the connection does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wait until `interest` is met or the deadline passes, then step again.
    Park {
        /// What to wait for.
        interest: Interest,
        /// How long.
        deadline: Instant,
    },
    /// Send the output and close.
    Close,
}

/// Where accepted messages go.
pub trait Outlet: Send + Sync {
    /// Takes a message whose acceptance the client has been told.
    fn deliver(&self, message: LockedEnvelope);

    /// Delivers a message while the client waits for its reply (DeliveryMode `i`).
    ///
    /// Returns what a program that did nothing else would exit with; only `-bs` looks at it.
    fn deliver_before_reply(
        &self,
        message: LockedEnvelope,
        workspace: &mut Workspace,
    ) -> ExitStatus {
        let _ = workspace;
        self.deliver(message);
        ExitStatus::Ok
    }

    /// Asks for a queue run of what `argument` of ETRN names: a host, `@domain` or `#group`.
    fn run_queue(&self, argument: &[u8]) {
        let _ = argument;
    }
}

/// What one call of [`Session::step`] lends to the verbs.
pub(super) struct Call<'a> {
    /// Reply octets.
    pub output: &'a mut Vec<u8>,
    /// The thread's own things.
    pub workspace: &'a mut Workspace,
    /// Where accepted messages go.
    pub outlet: &'a dyn Outlet,
    /// Whether octets behind the command at hand have already arrived.
    pub more_input: bool,
}

/// What a command means for the session.
#[derive(Debug)]
pub(super) enum Flow {
    /// Read the next command.
    Next,
    /// Read the next command after a delay.
    NextAfter(Duration),
    /// Read the text of the message.
    Collect,
    /// Begin TLS.
    StartTls(Arc<ServerSide>),
    /// Close the connection.
    Close,
    /// Close the connection after a delay.
    CloseAfter(Duration),
}

/// Replies held back until a time.
#[derive(Debug)]
struct Pause {
    until: Instant,
    held: Vec<u8>,
}

/// One SMTP session.
pub struct Session {
    pub(super) mta: Arc<Mta>,
    pub(super) connection: Connection,
    pub(super) client: Client,
    /// Macros of the connection; each envelope starts with a copy.
    pub(super) macros: MacroTable,
    pub(super) features: Features,
    pub(super) guard: Guard,
    pub(super) filters: Filters,
    pub(super) state: State,
    /// What rules called this host (`$j`) in a transaction that is over.
    pub(super) own_name: Option<Vec<u8>>,
    /// What the client called itself.
    pub(super) hello: Option<Hello>,
    /// `$r` of the next message; that of a refused hello is believed too.
    pub(super) protocol: &'static [u8],
    /// The envelope of the transaction at hand or of the next one; its id names the session in the log.
    pub(super) envelope: Box<Envelope>,
    pub(super) transaction: Transaction,
    /// The reply to nearly everything, once the client has been refused.
    pub(super) refusal: Option<Reply>,
    /// Whether AUTH has succeeded.
    pub(super) is_authenticated: bool,
    /// Whether MAIL, EXPN, VRFY or ETRN was used.
    pub(super) did_something: bool,
    /// Whether check_relay said that everything this client sends is thrown away.
    pub(super) discards_all: bool,
    /// Whether a ruleset has refused something: that is counted once for a connection.
    pub(super) is_counted_as_rejected: bool,
    /// The last command, for the log when the client goes away.
    pub(super) last_verb: &'static str,
    pub(super) commands: u64,
    /// When a delay for load is told again; `None` before the first.
    pub(super) tells_delay_from: Option<Instant>,
    pub(super) exit: ExitStatus,
    /// What is between the client and the session since STARTTLS.
    pub(super) secure: Option<Box<Secure>>,
    pub(super) lines: LineReader,
    pub(super) input: Vec<u8>,
    pub(super) input_ended: bool,
    pause: Option<Pause>,
    pub(super) deadline: Instant,
    line_begun: bool,
    pub(super) haste: Haste,
}

impl Session {
    /// Makes the session of a fresh connection; nothing happens before [`Input::Start`].
    pub fn new(mta: Arc<Mta>, connection: Connection) -> Self {
        let options = &mta.config.options;
        let etrn = connection
            .port
            .and_then(|index| options.daemon_ports.get(index))
            .is_none_or(|port| !port.has_modifier(b'E'));
        let mut features = Features::from_privacy(options.security.privacy_options, etrn);
        features.auth = !connection
            .port
            .and_then(|index| options.daemon_ports.get(index))
            .is_some_and(|port| port.has_modifier(b'A'));
        features.requires_auth = connection
            .port
            .and_then(|index| options.daemon_ports.get(index))
            .is_some_and(|port| port.has_modifier(b'a'));
        features.start_tls = connection
            .port
            .and_then(|index| options.daemon_ports.get(index))
            .is_none_or(|port| !port.has_modifier(b'S'));
        let receiving = &options.receiving;
        let guard = Guard::new(
            receiving.max_noop_commands,
            receiving.max_daemon_children > 0,
        );
        let deadline = mta.clock.monotonic();
        Self {
            client: Client::unknown(),
            macros: MacroTable::new(),
            features,
            guard,
            filters: Filters::default(),
            state: State::Fresh,
            own_name: None,
            hello: None,
            protocol: b"SMTP",
            envelope: Box::default(),
            transaction: Transaction::default(),
            refusal: None,
            is_authenticated: false,
            did_something: false,
            discards_all: false,
            is_counted_as_rejected: false,
            last_verb: "startup",
            commands: 0,
            tells_delay_from: None,
            exit: ExitStatus::Ok,
            secure: None,
            lines: LineReader::new(MAX_COMMAND_LINE),
            input: Vec::new(),
            input_ended: false,
            pause: None,
            deadline,
            line_begun: false,
            haste: Haste::default(),
            mta,
            connection,
        }
    }

    /// Takes what happened, appends replies to `output` and says what to wait for.
    pub fn step(
        &mut self,
        input: Input<'_>,
        output: &mut Vec<u8>,
        workspace: &mut Workspace,
        outlet: &dyn Outlet,
    ) -> Step {
        let mut said = Vec::new();
        let mut call = Call {
            output: &mut said,
            workspace,
            outlet,
            more_input: false,
        };
        let mut is_over = false;
        match input {
            Input::Start => self.open(&mut call),
            Input::Bytes(octets) => self.take_octets(octets),
            Input::Closed => self.input_ended = true,
            Input::TimedOut | Input::Resume => {
                is_over = self.pause.is_none() && !self.pass_deadline(&mut call);
            }
        }
        let step = match is_over {
            true => self.close(),
            false => self.run(&mut call),
        };
        self.send(&said, output, step);
        step
    }

    /// Returns the status that a process with this session as its only task exits with (`-bs`).
    pub fn exit_status(&self) -> ExitStatus {
        self.exit
    }

    /// Returns the configuration the session runs under.
    pub fn mta(&self) -> &Arc<Mta> {
        &self.mta
    }

    /// Tells the client's name as the log shows it.
    pub fn client_shown(&self) -> String {
        escape_for_display(&self.client.shown)
    }

    /// Tells whether a reload or a shutdown may end the session now without losing a message.
    pub fn is_between_transactions(&self) -> bool {
        matches!(self.state, State::Commands) && !self.transaction.is_open
    }

    /// Goes on for as long as there is something to do.
    fn run(&mut self, call: &mut Call<'_>) -> Step {
        loop {
            if let Some(step) = self.wait_for_pause(call) {
                return step;
            }
            match &self.state {
                State::Fresh | State::Closed => return self.close(),
                State::Identifying(_) => {
                    if let Some(step) = self.identify(call) {
                        return step;
                    }
                }
                State::GreetPause { until, .. } => {
                    let until = *until;
                    if self.input.is_empty() && !self.input_ended {
                        return self.park(Interest::Read, until);
                    }
                    self.meet_early_talker(call);
                }
                State::TlsDue(side, beginning) => {
                    let (side, beginning) = (Arc::clone(side), *beginning);
                    self.state = State::Handshaking(beginning);
                    self.begin_handshake(side, call);
                }
                State::Handshaking(beginning) => {
                    let beginning = *beginning;
                    if let Some(step) = self.shake_hands(call) {
                        return step;
                    }
                    if beginning == Beginning::AtOnce {
                        self.welcome(call);
                    }
                }
                State::Commands | State::Authenticating(_) => match self.next_line() {
                    Some(line) if self.is_hasty() => self.put_off(line),
                    Some(line) => {
                        let flow = self.take_line(line, call);
                        self.follow(flow, call);
                    }
                    None if self.input_ended => {
                        self.lose_input(call);
                        return self.close();
                    }
                    None if self.lines.pending_length() > MAX_LINE_READ => {
                        let length = self.lines.pending_length();
                        let flow = self.refuse_long_line(length, call);
                        self.follow(flow, call);
                    }
                    None => return self.park_for_line(),
                },
                State::Collecting(_) => {
                    if let Some(step) = self.collect(call) {
                        return step;
                    }
                }
                State::Chunk(_) => {
                    if let Some(step) = self.take_chunk(call) {
                        return step;
                    }
                }
            }
        }
    }

    pub(super) fn follow(&mut self, flow: Flow, call: &mut Call<'_>) {
        match flow {
            Flow::Next => {}
            Flow::NextAfter(delay) => self.hold_replies(delay, call),
            Flow::Collect => {
                let now = self.mta.clock.monotonic();
                self.deadline = now + self.mta.config.options.timeouts.datablock;
            }
            Flow::StartTls(side) => self.state = State::TlsDue(side, Beginning::StartTls),
            Flow::Close => self.state = State::Closed,
            Flow::CloseAfter(delay) => {
                self.hold_replies(delay, call);
                self.state = State::Closed;
            }
        }
    }

    /// Keeps the replies of this call until the delay is over.
    pub(super) fn hold_replies(&mut self, delay: Duration, call: &mut Call<'_>) {
        let held = std::mem::take(call.output);
        self.pause_for(delay, held);
    }

    /// Does nothing until the delay is over, then sends what is held.
    pub(super) fn pause_for(&mut self, delay: Duration, held: Vec<u8>) {
        let until = self.mta.clock.monotonic() + delay;
        self.pause = Some(Pause { until, held });
    }

    fn wait_for_pause(&mut self, call: &mut Call<'_>) -> Option<Step> {
        let pause = self.pause.take()?;
        if self.mta.clock.monotonic() < pause.until {
            let until = pause.until;
            self.pause = Some(pause);
            return Some(self.park(Interest::Timer, until));
        }
        call.output.extend_from_slice(&pause.held);
        self.start_waiting_for_line();
        if matches!(self.state, State::Collecting(_)) {
            let now = self.mta.clock.monotonic();
            self.deadline = now + self.mta.config.options.timeouts.datablock;
        }
        None
    }

    pub(super) fn park(&mut self, interest: Interest, deadline: Instant) -> Step {
        // An idle session holds no buffers.
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Step::Park { interest, deadline }
    }

    pub(super) fn close(&mut self) -> Step {
        if !matches!(self.state, State::Fresh) {
            self.finish();
        }
        self.leave_filters();
        self.mta.post_statistics();
        self.state = State::Closed;
        Step::Close
    }

    /// Takes one line from the input, the last one also without its line end.
    fn next_line(&mut self) -> Option<Line> {
        if let Some(line) = self.haste.take() {
            return Some(line);
        }
        let mut rest = self.input.as_slice();
        let line = if rest.is_empty() {
            None
        } else {
            self.lines.next_line(&mut rest)
        };
        let taken = self.input.len() - rest.len();
        self.input.drain(..taken);
        if line.is_none() && self.input_ended {
            return self.lines.take_rest().map(Line::Complete);
        }
        line
    }

    /// Throws away what the client sent and nobody has looked at.
    pub(super) fn forget_input(&mut self) {
        self.input = Vec::new();
        self.lines = LineReader::new(MAX_COMMAND_LINE);
    }

    pub(super) fn start_waiting_for_line(&mut self) {
        self.line_begun = false;
        self.deadline = self.mta.clock.monotonic() + self.mta.config.options.timeouts.command;
    }

    /// The deadline of a line counts from its first octet, so that single octets do not keep it open.
    fn park_for_line(&mut self) -> Step {
        if !self.line_begun && self.lines.is_inside_line() {
            self.start_waiting_for_line();
            self.line_begun = true;
        }
        let deadline = self.deadline;
        self.park(Interest::Read, deadline)
    }

    fn take_line(&mut self, line: Line, call: &mut Call<'_>) -> Flow {
        call.more_input = !self.input.is_empty();
        self.start_waiting_for_line();
        let flow = match line {
            Line::Complete(line) if matches!(self.state, State::Authenticating(_)) => {
                self.auth_response(&line, call)
            }
            Line::Complete(line) => self.command(&line, call),
            Line::TooLong { length } => self.refuse_long_line(length, call),
        };
        if matches!(flow, Flow::Next) {
            self.start_waiting_for_line();
        }
        flow
    }

    fn refuse_long_line(&mut self, length: usize, call: &mut Call<'_>) -> Flow {
        let what = format!("SMTP violation, input too long: {length}");
        self.throw_out("Command too long, possible attack", (5, &what), call)
    }

    /// Feeds the collector; returns a step when it wants more input or the session ends.
    fn collect(&mut self, call: &mut Call<'_>) -> Option<Step> {
        let State::Collecting(mut collector) = std::mem::replace(&mut self.state, State::Commands)
        else {
            return None;
        };
        let now = self.mta.clock.monotonic();
        let had_input = !self.input.is_empty();
        let mut rest = self.input.as_slice();
        let progress = collector.feed(&mut rest);
        let taken = self.input.len() - rest.len();
        self.input.drain(..taken);
        match progress {
            Collected::More if self.input_ended => {
                self.lose_collection(collector.size(), b"unexpected close", call);
                Some(self.close())
            }
            Collected::More => {
                if had_input {
                    self.deadline = now + self.mta.config.options.timeouts.datablock;
                }
                let deadline = self.deadline;
                if collector.is_too_slow(now) {
                    self.lose_collection(collector.size(), b"read timeout", call);
                    return Some(self.close());
                }
                self.state = State::Collecting(collector);
                Some(self.park(Interest::Read, deadline))
            }
            Collected::Complete => {
                let flow = self.end_of_data(*collector, call);
                self.follow(flow, call);
                self.start_waiting_for_line();
                None
            }
            Collected::Bare(octet) => {
                self.refuse_bare(octet, &collector, call);
                Some(self.close())
            }
        }
    }

    /// Handles a deadline; returns false when the session is over.
    fn pass_deadline(&mut self, call: &mut Call<'_>) -> bool {
        let now = self.mta.clock.monotonic();
        if let State::GreetPause { until, .. } = &self.state {
            if now >= *until {
                self.greet(call);
            }
            return true;
        }
        if now < self.deadline || matches!(self.state, State::Identifying(_)) {
            return true;
        }
        match std::mem::replace(&mut self.state, State::Commands) {
            State::Collecting(collector) => {
                self.lose_collection(collector.size(), b"read timeout", call);
            }
            State::Chunk(chunk) => {
                let size = chunk.announced.saturating_sub(chunk.left);
                self.lose_collection(size, b"read timeout", call);
            }
            State::Commands | State::Authenticating(_) => {
                self.log(
                    2,
                    Severity::Notice,
                    format_args!(
                        "timeout waiting for input from {} during server cmd read",
                        escape_for_display(&self.client.name)
                    ),
                );
                self.lose_input(call);
            }
            State::Handshaking(_) => self.tell_slow_handshake(),
            State::Fresh
            | State::Identifying(_)
            | State::GreetPause { .. }
            | State::TlsDue(..)
            | State::Closed => {}
        }
        false
    }

    /// Says goodbye to a client that has gone, and notes it.
    fn lose_input(&mut self, call: &mut Call<'_>) {
        let text = [
            b"421 4.4.1 ",
            self.host_name().as_slice(),
            b" Lost input channel from ",
            &self.client.shown,
        ]
        .concat();
        // Nobody listens any more: the reply is noted and not sent (observed: 8.17.1.9).
        let unheard = call.output.len();
        self.say(call, &wording::reply(&text));
        call.output.truncate(unheard);
        if self.transaction.is_open {
            self.log(
                2,
                Severity::Notice,
                format_args!(
                    "lost input channel from {} to {} after {}",
                    self.client_shown(),
                    escape_for_display(&self.daemon_name()),
                    self.last_verb
                ),
            );
        }
    }
}
