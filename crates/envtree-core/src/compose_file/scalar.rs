//! Tells what a scalar without quotes is, as Compose reads YAML: dates, times of day and `yes` are texts.

use super::node::Value;

/// Returns the value that `text` stands for without quotes.
pub fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

/// Returns the whole number that `text` writes as Compose reads it: `10`, `1_000`, `0x1F`, `0o17`, `017`, `0b1`.
pub fn integer(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Returns whether Compose reads the unquoted `text` as a number; infinity and "not a number" are texts here.
pub fn is_number(text: &str) -> bool {
    let starts = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let fraction = unsigned.strip_prefix('.').unwrap_or(unsigned);
    starts(fraction) && (integer(text).is_some() || is_decimal(&unsigned.replace('_', "")))
}

/// Returns whether `text` is digits with an optional fraction and exponent, without a sign.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_is_number = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_every_notation() {
        let read: Vec<_> =
            ["10", "-10", "1_000", "0x1F", "0o17", "0440", "0b11", "0", "-0", "08", "", "-", "1.5", "+-1"]
                .map(integer)
                .into();
        assert_eq!(
            read,
            [
                Some(10),
                Some(-10),
                Some(1000),
                Some(31),
                Some(15),
                Some(288),
                Some(3),
                Some(0),
                Some(0),
                None,
                None,
                None,
                None,
                None
            ]
        );
    }
}
