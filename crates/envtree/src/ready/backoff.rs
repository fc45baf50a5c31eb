//! Pauses between attempts: short at first, so that a fast server is not kept waiting, then longer.

use std::time::Duration;

const FIRST: u64 = 10;
const LONGEST: u64 = 250;

/// A sequence of pauses, each half as long again as the one before: 10, 15, 22 … 250 milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    millis: u64,
}

impl Backoff {
    /// Begins with the shortest pause.
    pub(crate) fn new() -> Self {
        Self { millis: FIRST }
    }

    /// Returns how long to pause now, and lengthens the next pause.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let delay = Duration::from_millis(self.millis);
        self.millis = (self.millis * 3 / 2).min(LONGEST);
        delay
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_half_up_to_a_quarter_of_a_second() {
        let mut backoff = Backoff::new();
        let delays: Vec<_> = (0..12).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [10, 15, 22, 33, 49, 73, 109, 163, 244, 250, 250, 250]);
    }
}
