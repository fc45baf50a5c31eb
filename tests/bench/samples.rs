//! Figures that were measured again and again.

use std::fmt;

/// What a figure counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Time, in seconds.
    Seconds,
    /// Memory, in bytes.
    Bytes,
    /// Requests to the Engine.
    Requests,
}

/// Figures of one thing, never empty once shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds a figure.
    pub(crate) fn push(&mut self, figure: f64) {
        let at = self.0.partition_point(|other| *other < figure);
        self.0.insert(at, figure);
    }

    /// Returns the figure in the middle; of an even number, the mean of the two there.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 { self.0[middle] } else { f64::midpoint(self.0[middle - 1], self.0[middle]) }
    }

    /// Returns the figures in one cell of the table: `1.43 s (1.40–1.61)`.
    pub(crate) fn show(&self, unit: Unit) -> String {
        let scale = Scale::of(unit, self.median());
        let [median, least, most] =
            [self.median(), self.0[0], self.0[self.0.len() - 1]].map(|figure| scale.number(figure));
        format!("{median}{scale} ({least}–{most})")
    }
}

/// How the numbers of one cell are written.
struct Scale {
    factor: f64,
    digits: usize,
    name: &'static str,
}

impl Scale {
    fn of(unit: Unit, median: f64) -> Self {
        match unit {
            Unit::Seconds if median < 0.1 => Self { factor: 1e3, digits: 1, name: " ms" },
            Unit::Seconds => Self { factor: 1.0, digits: 2, name: " s" },
            Unit::Bytes => Self { factor: 1e-6, digits: 1, name: " MB" },
            Unit::Requests => Self { factor: 1.0, digits: 0, name: "" },
        }
    }

    fn number(&self, figure: f64) -> String {
        format!("{:.*}", self.digits, figure * self.factor)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}
