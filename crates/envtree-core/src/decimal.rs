//! Numbers with a fraction that can be compared: billionths.

use std::str::FromStr;

use serde::{Serialize, Serializer};

const BILLION: i64 = 1_000_000_000;

/// A number in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i64);

/// A text that is no number, or one that is too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number")]
pub struct DecimalError(String);

impl Decimal {
    /// Returns the billionths.
    pub fn billionths(self) -> i64 {
        self.0
    }

    /// Returns the number without its fraction.
    pub fn truncated(self) -> i64 {
        self.0 / BILLION
    }

    /// Returns the number in so many hundredths as fit.
    pub fn hundredths(self) -> i64 {
        self.0 / (BILLION / 100)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let error = || DecimalError(text.to_owned());
        // Compose knows such numbers with the digits that a float of 32 bits holds.
        let float: f32 = text.parse().map_err(|_| error())?;
        let number: f64 = float.to_string().parse().map_err(|_| error())?;
        let billionths = (number * 1e9).round();
        // Beyond this a whole number has no exact float, and no setting means so much.
        if !(-9e15..=9e15).contains(&billionths) {
            return Err(error());
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range of integers")]
        Ok(Self(billionths as i64))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % BILLION == 0 {
            serializer.serialize_i64(self.0 / BILLION)
        } else {
            #[expect(clippy::cast_precision_loss, reason = "at most 9e15, which is exact")]
            serializer.serialize_f64(self.0 as f64 / 1e9)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_written() {
        let written = |text: &str| serde_json::to_string(&text.parse::<Decimal>().unwrap()).unwrap();
        assert_eq!(written("0.5"), "0.5");
        assert_eq!(written("2"), "2");
        assert_eq!(written("2.0"), "2");
        assert_eq!(written(".25"), "0.25");
        assert_eq!(written("0.123456789"), "0.12345679");
        assert_eq!(written("1234567.123456789"), "1234567.1");
        assert_eq!("50".parse::<Decimal>().unwrap().hundredths(), 5000);
        for wrong in ["", "x", "nan", "1e300", "inf"] {
            assert!(wrong.parse::<Decimal>().is_err(), "{wrong}");
        }
    }
}
