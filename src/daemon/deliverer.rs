//! The delivery pool: threads that deliver what the sessions accepted.
//!
//! Threads are started when there is work and nobody idle, and end after a while
//! without any; a message for a host that hangs therefore costs one thread, not
//! the mail behind it. A few dozen threads use machine and disk up when deliveries are
//! brisk; when all of them only wait, for programs that take their time or hosts
//! that do not answer, a foreman brings more in. When the processors have more to do than
//! they can, more threads would only make all slower: then they come one by one, and only
//! while nothing gets on at all. How many may talk to one host is not decided here but by
//! [`crate::client::Crowd`]. Jobs wait in a bounded channel. When that is full the
//! entry is unlocked and only its name is kept, so that neither descriptors nor
//! memory run out and nothing waits for the next queue run.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

/// Stack of a deliverer, in bytes.
const STACK: usize = 1024 * 1024;
/// The most jobs that wait with their entry locked; each holds a descriptor or two.
const MAX_WAITING: usize = 32;
/// How many names are kept when more come; beyond that the queue run finds them.
const MAX_OVERFLOW: usize = 100_000;
/// How long a thread waits for more before it puts away what it keeps, open connections say.
const SHORT_WAIT: Duration = Duration::from_millis(50);
/// How often the foreman looks whether work gets on.
const FOREMAN_INTERVAL: Duration = Duration::from_millis(100);
/// Work gets on while at least one thread of so many takes a job up in an interval.
const SLUGGISH: usize = 4;
/// How long a thread without work stays.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// One thing to deliver.
pub trait Job: Send + 'static {
    /// What is left of it when it must not hold anything.
    type Name: Send + 'static;

    /// Gives up what it holds and keeps the name.
    fn let_go(self) -> Self::Name;
}

/// What a thread does with a job, or with the name of one; one value for each thread.
pub trait Labour<J: Job> {
    /// Delivers.
    fn deliver(&mut self, job: J);

    /// Puts away what is kept from job to job; called when no more are at hand.
    fn rest(&mut self);

    /// Takes a job up again by its name, if it still wants doing.
    fn take_up(&mut self, name: J::Name) -> Option<J>;
}

/// How many threads a pool has.
#[derive(Debug, Clone, Copy)]
pub struct PoolSize {
    /// How many are started at once when there is work.
    pub core_threads: usize,
    /// How many there may be while all of them only wait.
    pub max_threads: usize,
    /// Says whether the processors have more to do than they can.
    pub is_machine_busy: fn() -> bool,
}

/// The pool; clones share it.
pub struct Deliverers<J: Job> {
    inner: Arc<Inner<J>>,
}

impl<J: Job> Clone for Deliverers<J> {
    fn clone(&self) -> Self {
        Deliverers {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<J: Job> std::fmt::Debug for Deliverers<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverers")
            .field("threads", &self.inner.max_threads)
            .finish()
    }
}

struct Inner<J: Job> {
    sender: Sender<J>,
    receiver: Receiver<J>,
    /// Names of jobs there was no room for; written by sessions, emptied by deliverers.
    overflow: Mutex<VecDeque<J::Name>>,
    /// Who is there; written by sessions that start threads and by threads that rest or end.
    crew: Mutex<Crew>,
    /// How many threads are started at once when there is work.
    core_threads: usize,
    /// How many there may be when work does not get on.
    max_threads: usize,
    /// How many jobs were taken up so far; the foreman compares.
    taken: AtomicUsize,
    /// Deliveries going on; the gate reads it.
    running: Arc<AtomicUsize>,
    is_closing: AtomicBool,
    hire: Box<dyn Fn() -> Box<dyn Labour<J>> + Send + Sync>,
    /// Says whether the processors have more to do than they can.
    is_machine_busy: fn() -> bool,
    /// Told after each delivery, so that a place at the gate is taken at once.
    on_end: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct Crew {
    threads: usize,
    idle: usize,
    has_foreman: bool,
}

impl<J: Job> Deliverers<J> {
    /// Makes a pool.
    ///
    /// It counts its work in `running`.
    pub fn new(
        size: PoolSize,
        running: Arc<AtomicUsize>,
        hire: impl Fn() -> Box<dyn Labour<J>> + Send + Sync + 'static,
        on_end: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let PoolSize {
            core_threads,
            max_threads,
            is_machine_busy,
        } = size;
        let (sender, receiver) = crossbeam_channel::bounded(core_threads.clamp(1, MAX_WAITING));
        Deliverers {
            inner: Arc::new(Inner {
                sender,
                receiver,
                overflow: Mutex::default(),
                crew: Mutex::default(),
                core_threads: core_threads.max(1),
                max_threads: max_threads.max(core_threads).max(1),
                taken: AtomicUsize::new(0),
                running,
                is_closing: AtomicBool::new(false),
                hire: Box::new(hire),
                is_machine_busy,
                on_end: Box::new(on_end),
            }),
        }
    }

    /// Takes a job; never waits and never loses it.
    pub fn submit(&self, job: J) {
        let inner = &self.inner;
        match inner.sender.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                inner.put_over(job.let_go());
            }
        }
        let mut crew = lock(&inner.crew);
        if inner.receiver.len() <= crew.idle {
            return;
        }
        if crew.threads < inner.core_threads {
            crew.add_thread(inner);
        } else if crew.threads < inner.max_threads && !crew.has_foreman {
            match start_foreman(Arc::clone(inner)) {
                Ok(()) => crew.has_foreman = true,
                Err(error) => log::error!("cannot start a delivery thread: {error}"),
            }
        }
    }

    /// Stops taking new work up and waits for what is going on, at most until the deadline.
    ///
    /// What waits is let go; it stays in the queue. Returns whether all ended.
    pub fn close(&self, deadline: Instant) -> bool {
        self.inner.is_closing.store(true, Ordering::SeqCst);
        while let Ok(job) = self.inner.receiver.try_recv() {
            drop(job.let_go());
        }
        loop {
            let crew = lock(&self.inner.crew);
            if crew.threads == crew.idle {
                return true;
            }
            drop(crew);
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Crew {
    fn add_thread<J: Job>(&mut self, inner: &Arc<Inner<J>>) {
        match start_thread(Arc::clone(inner)) {
            Ok(()) => self.threads += 1,
            Err(error) => log::error!("cannot start a delivery thread: {error}"),
        }
    }
}

impl<J: Job> Inner<J> {
    /// Brings threads in as long as jobs wait and those at work do not get on.
    fn oversee(self: &Arc<Self>) {
        loop {
            let taken = self.taken.load(Ordering::Relaxed);
            thread::sleep(FOREMAN_INTERVAL);
            let waiting = self.receiver.len() + lock(&self.overflow).len();
            let pace = self.taken.load(Ordering::Relaxed).wrapping_sub(taken);
            let mut crew = lock(&self.crew);
            let is_closing = self.is_closing.load(Ordering::SeqCst);
            if is_closing || waiting == 0 || crew.threads >= self.max_threads {
                crew.has_foreman = false;
                return;
            }
            if pace < crew.threads.div_ceil(SLUGGISH) {
                let more = match (self.is_machine_busy)() {
                    false => (crew.threads / 2).max(1).min(waiting),
                    true => usize::from(pace == 0),
                };
                for _ in 0..more.min(self.max_threads - crew.threads) {
                    crew.add_thread(self);
                }
            }
        }
    }

    fn put_over(&self, name: J::Name) {
        let mut overflow = lock(&self.overflow);
        if overflow.len() < MAX_OVERFLOW {
            overflow.push_back(name);
        } else {
            log::warn!("too much to deliver at once; the queue run will find the rest");
        }
    }

    /// Waits for a job; `None` ends the thread.
    fn next(&self, labour: &mut dyn Labour<J>) -> Option<J> {
        loop {
            if self.is_closing.load(Ordering::SeqCst) {
                return self.leave();
            }
            if let Ok(job) = self.receiver.try_recv() {
                return Some(job);
            }
            // Before waiting: what did not fit into the channel.
            let name = lock(&self.overflow).pop_front();
            if let Some(name) = name {
                match labour.take_up(name) {
                    Some(job) => return Some(job),
                    None => continue,
                }
            }
            lock(&self.crew).idle += 1;
            let mut waited = self.receiver.recv_timeout(SHORT_WAIT);
            if matches!(waited, Err(RecvTimeoutError::Timeout)) {
                labour.rest();
                waited = self.receiver.recv_timeout(IDLE_TIME);
            }
            let mut crew = lock(&self.crew);
            crew.idle -= 1;
            match waited {
                Ok(job) if self.is_closing.load(Ordering::SeqCst) => drop(job.let_go()),
                Ok(job) => return Some(job),
                // Asked under the lock: whoever submits now sees one idle thread less.
                Err(RecvTimeoutError::Timeout) if !self.receiver.is_empty() => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    crew.threads -= 1;
                    return None;
                }
            }
        }
    }

    fn leave(&self) -> Option<J> {
        lock(&self.crew).threads -= 1;
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn start_thread<J: Job>(inner: Arc<Inner<J>>) -> io::Result<()> {
    let work = move || {
        let mut labour = (inner.hire)();
        while let Some(job) = inner.next(labour.as_mut()) {
            inner.taken.fetch_add(1, Ordering::Relaxed);
            inner.running.fetch_add(1, Ordering::SeqCst);
            let done = catch_unwind(AssertUnwindSafe(|| labour.deliver(job)));
            inner.running.fetch_sub(1, Ordering::SeqCst);
            (inner.on_end)();
            if done.is_err() {
                log::error!("a delivery was lost to a fault of the program; it stays in the queue");
                labour = (inner.hire)();
            }
        }
    };
    thread::Builder::new()
        .name("delivery".into())
        .stack_size(STACK)
        .spawn(work)
        .map(drop)
}

fn start_foreman<J: Job>(inner: Arc<Inner<J>>) -> io::Result<()> {
    thread::Builder::new()
        .name("foreman".into())
        .stack_size(STACK)
        .spawn(move || inner.oversee())
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, bounded, unbounded};

    #[derive(Debug)]
    struct Number(u32);

    impl Job for Number {
        type Name = u32;

        fn let_go(self) -> u32 {
            self.0
        }
    }

    /// Waits for permission, then reports.
    struct Clerk {
        permission: Receiver<()>,
        done: Sender<u32>,
    }

    impl Labour<Number> for Clerk {
        fn deliver(&mut self, job: Number) {
            self.permission.recv().unwrap();
            assert!(job.0 != 13, "asked to");
            self.done.send(job.0).unwrap();
        }

        fn rest(&mut self) {}

        fn take_up(&mut self, name: u32) -> Option<Number> {
            Some(Number(name))
        }
    }

    fn pool(threads: usize) -> (Deliverers<Number>, Sender<()>, Receiver<u32>) {
        pool_of(PoolSize {
            core_threads: threads,
            max_threads: threads,
            is_machine_busy: || false,
        })
    }

    fn pool_of(size: PoolSize) -> (Deliverers<Number>, Sender<()>, Receiver<u32>) {
        let (permit, permission) = bounded(10_000);
        let (done, reports) = unbounded();
        let hire = move || -> Box<dyn Labour<Number>> {
            Box::new(Clerk {
                permission: permission.clone(),
                done: done.clone(),
            })
        };
        (
            Deliverers::new(size, Arc::default(), hire, || {}),
            permit,
            reports,
        )
    }

    #[test]
    fn nothing_is_lost_when_far_more_comes_than_fits() {
        let (pool, permit, reports) = pool(3);
        for number in 100..600 {
            pool.submit(Number(number));
        }
        for _ in 0..500 {
            permit.send(()).unwrap();
        }
        let mut seen: Vec<u32> = (0..500)
            .map(|_| reports.recv_timeout(Duration::from_secs(20)).unwrap())
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (100..600).collect::<Vec<_>>());
    }

    #[test]
    fn one_job_that_hangs_does_not_hold_the_next() {
        let (pool, permit, reports) = pool(2);
        pool.submit(Number(1));
        pool.submit(Number(2));
        permit.send(()).unwrap();
        permit.send(()).unwrap();
        let mut both: Vec<u32> = (0..2)
            .map(|_| reports.recv_timeout(Duration::from_secs(20)).unwrap())
            .collect();
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
    }

    #[test]
    fn more_threads_come_when_all_only_wait() {
        let (pool, permit, reports) = pool_of(PoolSize {
            core_threads: 2,
            max_threads: 9,
            is_machine_busy: || false,
        });
        for number in 100..120 {
            pool.submit(Number(number));
        }
        let running = &pool.inner.running;
        let deadline = Instant::now() + Duration::from_secs(20);
        while running.load(Ordering::SeqCst) < 9 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(running.load(Ordering::SeqCst), 9);
        for _ in 0..20 {
            permit.send(()).unwrap();
        }
        for _ in 0..20 {
            reports.recv_timeout(Duration::from_secs(20)).unwrap();
        }
    }

    #[test]
    fn few_are_brought_in_while_the_processors_are_the_bottleneck() {
        static IS_ASKED: AtomicUsize = AtomicUsize::new(0);
        let (pool, permit, reports) = pool_of(PoolSize {
            core_threads: 2,
            max_threads: 9,
            is_machine_busy: || {
                IS_ASKED.fetch_add(1, Ordering::SeqCst);
                true
            },
        });
        for number in 100..120 {
            pool.submit(Number(number));
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while IS_ASKED.load(Ordering::SeqCst) < 3 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let threads = lock(&pool.inner.crew).threads;
        let asked = IS_ASKED.load(Ordering::SeqCst);
        assert!(asked >= 3, "the foreman looked");
        assert!(threads > 2, "those that hang do not stop all others");
        assert!(
            threads <= 2 + asked,
            "{threads} threads after {asked} looks"
        );
        for _ in 0..20 {
            permit.send(()).unwrap();
        }
        for _ in 0..20 {
            reports.recv_timeout(Duration::from_secs(20)).unwrap();
        }
    }

    #[test]
    fn a_panic_costs_one_delivery() {
        let (pool, permit, reports) = pool(1);
        for number in [13, 14] {
            pool.submit(Number(number));
            permit.send(()).unwrap();
        }
        assert_eq!(reports.recv_timeout(Duration::from_secs(20)), Ok(14));
    }

    #[test]
    fn closing_waits_for_what_runs_and_lets_the_rest_go() {
        let (pool, permit, reports) = pool(1);
        pool.submit(Number(1));
        while pool.inner.running.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        pool.submit(Number(2));
        assert!(!pool.close(Instant::now()), "one is still running");
        permit.send(()).unwrap();
        assert!(pool.close(Instant::now() + Duration::from_secs(20)));
        assert_eq!(reports.try_iter().collect::<Vec<_>>(), [1]);
    }
}
