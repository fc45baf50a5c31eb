//! Values that Compose shows in other words than the Engine's. What no Engine takes is refused, and kept to be shown.

use std::time::Duration;

use serde_json::Value as Json;

use super::quantity::{DURATION, parse_signed_duration};
use super::section::{Section, is_empty_text, scalar};
use crate::compose_file::node::{Node, Value};
use crate::compose_file::render::duration;
use crate::compose_file::scalar::integer;
use crate::decimal::Decimal;
use crate::service::AsWritten;

/// The bits of a number that Compose keeps whole.
pub(super) const WHOLE: u32 = i64::BITS - 1;

impl Section<'_> {
    /// Refuses `node`, the value of `key`, which is not what was expected, and has it shown as `shown`.
    pub(super) fn refuse_shown(&self, key: &str, node: &Node, expected: &str, shown: impl Into<Json>) {
        self.refuse_unfit(key, node, expected);
        self.as_written.borrow_mut().set(key, shown);
    }

    /// Refuses `node`, the value of `key`, which is not what was expected; the caller keeps what is shown.
    pub(super) fn refuse_unfit(&self, key: &str, node: &Node, expected: &str) {
        self.refuse(&node.place, self.expects(key, node, expected));
    }

    /// Has `key` shown as `text` if it differs from how the Engine's value is written.
    pub(super) fn show_written(&self, key: &str, text: String, value: &str) {
        if text != value {
            self.as_written.borrow_mut().set(key, text);
        }
    }

    /// Returns what is to be shown of the keys that were refused so far.
    pub(super) fn shown(&self) -> AsWritten {
        self.as_written.take()
    }

    /// Returns what `parse` makes of a text; an empty one is nothing, and one that it does not know is shown.
    pub(super) fn parsed_or_shown<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.filled(key)?;
        let parsed = scalar(node).and_then(|text| parse(&text));
        match (&node.value, &parsed) {
            (Value::Text(text), None) => self.refuse_shown(key, node, expected, text.as_str()),
            (_, None) => self.unfit(key, node, expected),
            _ => {}
        }
        parsed
    }

    /// Returns a text that `is_fit` accepts, or any other one, which is refused.
    pub(super) fn fit_or_shown(
        &self,
        key: &str,
        expected: &str,
        is_fit: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let text = self.text(key)?;
        if !is_fit(&text) {
            self.refuse_unfit(key, self.node(key)?, expected);
        }
        Some(text)
    }

    /// Returns a whole number; one that its setting cannot be is shown.
    pub(super) fn number_or_shown<T: TryFrom<i64>>(&self, key: &str, expected: &str) -> Option<T> {
        let number = self.integer(key)?;
        let fitting = T::try_from(number).ok();
        if fitting.is_none() {
            self.refuse_shown(key, self.node(key)?, expected, number);
        }
        fitting
    }

    /// Returns `number`, the value of `key`, if it is at least 0. As in Compose, what is shown of one that is too large for
    /// its setting are its last bits, of which there are so many.
    pub(super) fn count_or_shown<T: TryFrom<i64>>(
        &self,
        key: &str,
        number: Option<i64>,
        expected: &str,
        bits: u32,
    ) -> Option<T> {
        let (node, number) = (self.node(key)?, number?);
        let fitting = T::try_from(number).ok();
        match (&fitting, number) {
            (None, 0..) => {
                self.refuse_shown(key, node, expected, number & (i64::MAX >> (i64::BITS - 1 - bits)));
            }
            (None, _) => self.unfit(key, node, expected),
            _ => {}
        }
        fitting
    }

    /// Returns a number that may have a fraction; one that is too large is shown with the digits that Compose knows.
    pub(super) fn decimal_or_shown(&self, key: &str) -> Option<Decimal> {
        let node = self.node(key)?;
        let float = scalar(node).and_then(|text| text.parse().ok()).filter(|float: &f32| float.is_finite());
        let Some(float) = float.filter(|_| scalar(node).is_some_and(|text| text.parse::<Decimal>().is_err()))
        else {
            return self.decimal(key);
        };
        let digits = float.to_string();
        let shown = digits.parse().map(|whole: i64| whole.into()).ok();
        let shown = shown.or_else(|| Some(Json::from(digits.parse::<f64>().ok()?)));
        self.refuse_shown(key, node, "a number up to 9000000, such as `0.5`", shown);
        None
    }

    /// Returns a whole number from 0 whose fraction is cut off, as [`Section::count_or_shown`] does.
    pub(super) fn bits_or_shown<T: TryFrom<i64>>(&self, key: &str, expected: &str, bits: u32) -> Option<T> {
        let number = match &self.node(key)?.value {
            Value::Text(text) => integer(text).or_else(|| self.integer(key)),
            _ => self.cut_integer(key),
        };
        self.count_or_shown(key, number, expected, bits)
    }

    /// Returns a text that must be there; an empty one is refused.
    pub(super) fn required_or_empty(&self, key: &str) -> Option<String> {
        if !self.node(key).is_some_and(is_empty_text) {
            return self.required(key);
        }
        self.refuse_lack(key);
        Some(String::new())
    }

    /// Returns a span of time; one that is negative is shown.
    pub(super) fn duration_or_shown(&self, key: &str) -> Option<Duration> {
        let node = self.node(key)?;
        let (is_negative, time) = self.parsed_node(key, node, DURATION, parse_signed_duration)?;
        if is_negative {
            self.refuse_shown(key, node, "a time from 0 on, such as `30s`", format!("-{}", duration(time)));
        }
        (!is_negative).then_some(time)
    }

    /// Refuses that `key` is not there, or is empty, which shows nothing of it.
    pub(super) fn refuse_shown_lack(&self, key: &str) {
        self.refuse_lack(key);
        self.as_written.borrow_mut().set(key, Json::Null);
    }

    /// Refuses that `key` is not there, or is empty.
    pub(super) fn refuse_lack(&self, key: &str) {
        let name = self.name(key);
        match self.node(key) {
            Some(node) if is_empty_text(node) || node.is_empty() => {
                self.refuse(&node.place, format!("{name} is empty"));
            }
            _ => self.refuse(self.place, format!("{name} is missing")),
        }
    }
}
