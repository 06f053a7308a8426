//! Options about the queue: where it is, in which order it runs, how loaded the
//! machine may be, and when delivery happens.
//!
//! Source: guide 5.6.

use std::path::PathBuf;
use std::time::Duration;

/// When a message is delivered after it was accepted (`DeliveryMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeliveryMode {
    /// Before the caller gets an answer (`i`).
    Interactive,
    /// At once, but in the background (`b`).
    #[default]
    Background,
    /// At the next queue run (`q`).
    QueueOnly,
    /// At the next queue run, and without look-ups in `-D` maps (`d`).
    Deferred,
}

impl DeliveryMode {
    /// Reads a mode from its first letter; `None` for a letter that is no mode.
    pub fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'i' => Some(Self::Interactive),
            b'b' => Some(Self::Background),
            b'q' => Some(Self::QueueOnly),
            b'd' => Some(Self::Deferred),
            _ => None,
        }
    }

    /// Gives the letter of the mode, as `${deliveryMode}` and the guide have it.
    pub fn letter(self) -> u8 {
        match self {
            Self::Interactive => b'i',
            Self::Background => b'b',
            Self::QueueOnly => b'q',
            Self::Deferred => b'd',
        }
    }
}

/// In which order a queue run takes its entries (`QueueSortOrder`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueSortOrder {
    /// By priority, the lowest number first.
    #[default]
    Priority,
    /// By host of the first recipient, then priority.
    Host,
    /// By file name, that is by arrival.
    FileName,
    /// By time of submission.
    Time,
    /// In no particular order, different each time.
    Random,
    /// By host of the first recipient as with `Host`, the hosts in an order that is different each
    /// time. Observed: 8.17.1.9.
    Shuffle,
    /// By time of the last change of the control file.
    Modification,
    /// As the directory gives them.
    None,
}

/// When the queue files are synchronised (`SuperSafe`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SuperSafe {
    /// Never; unsafe.
    #[default]
    False,
    /// Before the acceptance is told.
    True,
    /// As `True`, except that interactive delivery skips the double synchronisation.
    Interactive,
    /// After the filters have accepted the message.
    PostMilter,
}

/// Options about the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queueing {
    /// Where the queue is; may end in `*`. `None` when no line set it, and then nothing starts.
    pub queue_directory: Option<Vec<u8>>,
    /// Mode of queue files.
    pub queue_file_mode: Option<u32>,
    /// Mode of temporary and control files.
    pub temp_file_mode: u32,
    /// When a message is delivered after it was accepted.
    pub delivery_mode: DeliveryMode,
    /// When queue files are synchronised.
    pub super_safe: SuperSafe,
    /// Whether directories are synchronised as well.
    pub requires_dirfsync: bool,
    /// Order of a queue run.
    pub queue_sort_order: QueueSortOrder,
    /// Fork for each message of a queue run.
    pub fork_each_job: bool,
    /// Deliveries between two rewrites of the control file; zero is never.
    pub checkpoint_interval: u32,
    /// Load average over which messages are only queued.
    pub queue_la: u32,
    /// Load average at which SMTP commands are delayed; zero is off.
    pub delay_la: u32,
    /// Load average over which connections are refused.
    pub refuse_la: u32,
    /// Divided by the excess load, gives the priority limit of what is still delivered.
    pub queue_factor: i64,
    /// Priority of one recipient.
    pub recipient_factor: i64,
    /// Multiplied by the message class.
    pub class_factor: i64,
    /// Added at each attempt.
    pub retry_factor: i64,
    /// Youngest age since the last attempt at which an entry is tried again.
    pub min_queue_age: Duration,
    /// Cap of the growing retry interval; zero is off.
    pub max_queue_age: Duration,
    /// Most entries of one queue run; zero is no limit.
    pub max_queue_run_size: u32,
    /// Most queue-running children; zero is no limit.
    pub max_queue_children: u32,
    /// Most runners of one queue group.
    pub max_runners_per_queue: u32,
    /// Nice increment of queue runs.
    pub nice_queue_run: i32,
    /// Free blocks the queue's file system must have.
    pub min_free_blocks: u64,
    /// Whether envelopes are split by mail exchanger at first delivery, and into how many parts.
    pub fast_split: u32,
    /// Largest body kept in memory, in bytes.
    pub data_file_buffer_size: u64,
    /// Largest transcript kept in memory, in bytes.
    pub xscript_file_buffer_size: u64,
    /// Key of the shared memory segment; zero is none.
    pub shared_memory_key: i64,
    /// File that says the key of the shared memory segment.
    pub shared_memory_key_file: Option<PathBuf>,
}

impl Default for Queueing {
    fn default() -> Self {
        Self {
            queue_directory: None,
            queue_file_mode: None,
            temp_file_mode: 0o600,
            delivery_mode: DeliveryMode::Background,
            super_safe: SuperSafe::False,
            requires_dirfsync: true,
            queue_sort_order: QueueSortOrder::Priority,
            fork_each_job: false,
            checkpoint_interval: 10,
            queue_la: 8,
            delay_la: 0,
            refuse_la: 12,
            queue_factor: 600_000,
            recipient_factor: 30_000,
            class_factor: 1_800,
            retry_factor: 90_000,
            min_queue_age: Duration::ZERO,
            max_queue_age: Duration::ZERO,
            max_queue_run_size: 0,
            max_queue_children: 0,
            max_runners_per_queue: 1,
            nice_queue_run: 0,
            min_free_blocks: 100,
            fast_split: 1,
            data_file_buffer_size: 4_096,
            xscript_file_buffer_size: 4_096,
            shared_memory_key: 0,
            shared_memory_key_file: None,
        }
    }
}
