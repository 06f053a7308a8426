//! The session pool: a fixed number of threads that give talks their turns.
//!
//! A talk that has nothing to do goes to the accept thread, which waits for all
//! of them at once; so the number of workers bounds what is done at a time, not
//! who may be connected. A panic costs its session and nothing else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use mio::Waker;

use super::gate::Place;
use super::talk::{Conversation, Talk, Wait, Wake};

/// Stack of a worker, in bytes: name service modules and regexec need room.
const STACK: usize = 1024 * 1024;

/// A talk that wants a turn; boxed, because channels reserve room for every one there may be.
pub type Ready<C> = (Box<Talk<C>>, Wake);

/// What a turn came to.
#[derive(Debug)]
pub enum Outcome<C> {
    /// The talk waits.
    Rests(Box<Talk<C>>, Wait),
    /// The talk is over; its place is free.
    Over(Place),
}

/// The way of workers, deliverers and signals to the accept thread.
#[derive(Debug)]
pub struct Doorbell<T> {
    sender: Sender<T>,
    waker: Arc<Waker>,
}

impl<T> Clone for Doorbell<T> {
    fn clone(&self) -> Self {
        Doorbell {
            sender: self.sender.clone(),
            waker: Arc::clone(&self.waker),
        }
    }
}

impl<T> Doorbell<T> {
    /// Makes a doorbell that puts messages into a channel and wakes a poll.
    pub fn new(sender: Sender<T>, waker: Arc<Waker>) -> Self {
        Doorbell { sender, waker }
    }

    /// Gives a message over; returns whether anybody is there to take it.
    pub fn ring(&self, message: T) -> bool {
        let sent = self.sender.send(message).is_ok();
        if sent {
            // A wake that fails is one the poll is awake for anyway.
            let _ = self.waker.wake();
        }
        sent
    }
}

/// Starts the workers; they end when the sender of `ready` is gone.
///
/// # Errors
/// A thread could not be started.
pub fn start<C, M, T>(
    count: usize,
    ready: &Receiver<Ready<C>>,
    make_tools: &M,
    report: &T,
) -> io::Result<Vec<thread::JoinHandle<()>>>
where
    C: Conversation + 'static,
    M: Fn() -> C::Tools + Clone + Send + 'static,
    T: Fn(Outcome<C>) -> bool + Clone + Send + 'static,
{
    (0..count)
        .map(|number| {
            let (ready, make_tools, report) = (ready.clone(), make_tools.clone(), report.clone());
            thread::Builder::new()
                .name(format!("session-{number}"))
                .stack_size(STACK)
                .spawn(move || work(&ready, &make_tools, &report))
        })
        .collect()
}

fn work<C: Conversation>(
    ready: &Receiver<Ready<C>>,
    make_tools: &impl Fn() -> C::Tools,
    report: &impl Fn(Outcome<C>) -> bool,
) {
    let mut tools = make_tools();
    for (talk, wake) in ready {
        let outcome = take_turn(talk, wake, &mut tools, || ready.is_empty());
        let outcome = outcome.unwrap_or_else(|place| {
            // Whatever the panic left half-done is thrown away with the tools.
            tools = make_tools();
            Outcome::Over(place)
        });
        if !report(outcome) {
            return;
        }
    }
}

/// Gives one talk its turn; a panic drops the talk and gives its place back.
fn take_turn<C: Conversation>(
    mut talk: Box<Talk<C>>,
    wake: Wake,
    tools: &mut C::Tools,
    is_idle: impl Fn() -> bool,
) -> Result<Outcome<C>, Place> {
    let place = talk.place();
    let turn = AssertUnwindSafe(|| match talk.turn(wake, tools, is_idle) {
        Some(wait) => Outcome::Rests(talk, wait),
        None => Outcome::Over(place),
    });
    catch_unwind(turn).map_err(|_| {
        log::error!("a session was lost to a fault of the program");
        place
    })
}

#[cfg(test)]
mod tests {
    use super::super::talk::tests::{Echo, connected};
    use super::*;
    use std::io::{Read, Write};
    use std::time::Duration;

    #[test]
    fn a_panic_costs_one_session() {
        let (ready_sender, ready) = crossbeam_channel::bounded::<Ready<Echo>>(8);
        let (report_sender, reports) = crossbeam_channel::bounded(8);
        let report = move |outcome| report_sender.send(outcome).is_ok();
        let workers = start(1, &ready, &Vec::new, &report).unwrap();
        for words in ["panic\n", "quit\n"] {
            let (talk, mut client) = connected();
            client.write_all(words.as_bytes()).unwrap();
            ready_sender.send((Box::new(talk), Wake::Start)).unwrap();
            let outcome = reports.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(
                matches!(outcome, Outcome::Over(Place { port: 0, .. })),
                "{words}"
            );
            let mut heard = String::new();
            let _ = client.read_to_string(&mut heard);
            assert!(heard.starts_with("220"), "{heard}");
        }
        drop(ready_sender);
        for worker in workers {
            worker.join().unwrap();
        }
    }
}
