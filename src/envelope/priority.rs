//! Priorities: which message goes first.
//!
//! A lower number is delivered earlier. The first priority is the size, less
//! the precedence class times ClassFactor, plus RecipientFactor for each
//! recipient; each attempt that leaves the message in the queue adds
//! RetryFactor.
//!
//! Source: guide 4.3; observed: 8.17.1.9 (`P60021` for one recipient after one attempt).

/// The three factors of the options ClassFactor, RecipientFactor and RetryFactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityFactors {
    /// ClassFactor, option `z`.
    pub class: i64,
    /// RecipientFactor, option `y`.
    pub recipient: i64,
    /// RetryFactor, option `Z`.
    pub retry: i64,
}

impl Default for PriorityFactors {
    fn default() -> Self {
        Self {
            class: 1_800,
            recipient: 30_000,
            retry: 90_000,
        }
    }
}

/// Computes the priority of a new message.
pub fn initial_priority(
    size: u64,
    class: i64,
    recipients: usize,
    factors: &PriorityFactors,
) -> i64 {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let recipients = i64::try_from(recipients).unwrap_or(i64::MAX);
    size.saturating_sub(class.saturating_mul(factors.class))
        .saturating_add(recipients.saturating_mul(factors.recipient))
}

/// Ages a priority by one attempt that left the message in the queue.
pub fn after_attempt(priority: i64, factors: &PriorityFactors) -> i64 {
    priority.saturating_add(factors.retry)
}

/// Tells whether a new message is to be queued rather than delivered because the machine is busy.
///
/// Source: guide 4.3: queued when the priority exceeds QueueFactor / (load - QueueLA + 1).
pub fn should_queue(priority: i64, load: i64, queue_la: i64, queue_factor: i64) -> bool {
    if load < queue_la {
        return false;
    }
    let divisor = load.saturating_sub(queue_la).saturating_add(1).max(1);
    priority > queue_factor / divisor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observed_priorities() {
        let factors = PriorityFactors::default();
        assert_eq!(initial_priority(15, 0, 1, &factors), 30_015);
        assert_eq!(
            initial_priority(35, -60, 4, &factors),
            35 + 60 * 1_800 + 4 * 30_000
        );
        assert_eq!(after_attempt(30_015, &factors), 120_015);
    }

    #[test]
    fn a_busy_machine_queues_the_heavy_ones() {
        assert!(!should_queue(700_000, 7, 8, 600_000));
        assert!(should_queue(700_000, 8, 8, 600_000));
        assert!(!should_queue(300_000, 8, 8, 600_000));
        assert!(should_queue(300_001, 9, 8, 600_000));
    }
}
