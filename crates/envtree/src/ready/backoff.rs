//! Pauses between attempts: short at first, so that a fast server is not kept waiting, then longer.

use std::time::Duration;

const FIRST: u64 = 10;

/// A sequence of pauses, each half as long again as the one before: 10, 15, 22 … milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    millis: u64,
    longest: u64,
}

impl Backoff {
    /// Begins with the shortest pause; none is longer than 250 ms.
    pub(crate) fn new() -> Self {
        Self { millis: FIRST, longest: 250 }
    }

    /// Begins with the shortest pause; none is longer than 50 ms, for questions that cost next to nothing.
    pub(crate) fn short() -> Self {
        Self { millis: FIRST, longest: 50 }
    }

    /// Returns how long to pause now, and lengthens the next pause.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let delay = Duration::from_millis(self.millis);
        self.millis = (self.millis * 3 / 2).min(self.longest);
        delay
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

    #[test]
    fn short_pauses_stay_short() {
        let mut backoff = Backoff::short();
        let delays: Vec<_> = (0..7).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [10, 15, 22, 33, 49, 50, 50]);
    }
}
