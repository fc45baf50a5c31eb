//! Tells what a scalar without quotes is, as Compose reads YAML: times of day and `yes` are texts.

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

/// Returns the text that Compose makes of a number where a text is wanted: `1.10` becomes `1.1`, `0x10` becomes `16`.
pub fn number_text(text: &str) -> String {
    if let Some(integer) = integer(text) {
        return integer.to_string();
    }
    let plain = text.replace('_', "");
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    if !plain.starts_with('0') && plain.parse::<u64>().is_ok() {
        return plain.to_owned();
    }
    match plain.parse::<f64>() {
        Ok(number) if number != 0.0 && !(1e-4..1e6).contains(&number.abs()) => {
            let text = format!("{number:e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        Ok(number) => number.to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Returns a number in the one way that a tree has whose variables are filled in: as [`number_text`], but with `.0`
/// behind what Compose reads as a fraction although it is whole, such as `1e3`. See [`without_fraction`].
pub fn normal_number(text: &str) -> String {
    let written = number_text(text);
    let is_whole_fraction = integer(text).is_none() && integer(&written).is_some();
    if is_whole_fraction { written + ".0" } else { written }
}

/// Returns the text that Compose makes of a number that is written as [`normal_number`] does.
pub fn without_fraction(number: &str) -> &str {
    number.strip_suffix(".0").unwrap_or(number)
}

/// Returns whether Compose reads the unquoted `text` as a number; infinity and "not a number" are texts here.
pub fn is_number(text: &str) -> bool {
    let starts = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let fraction = unsigned.strip_prefix('.').unwrap_or(unsigned);
    let plain = unsigned.replace('_', "");
    // What is too large for a number is a text, such as the hash `4e88123`.
    let is_finite = || plain.parse::<f64>().is_ok_and(f64::is_finite);
    starts(fraction) && (integer(text).is_some() || is_decimal(&plain) && is_finite())
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
    fn numbers_become_texts_as_compose_writes_them() {
        let written = [
            "1.10",
            "0440",
            "1e3",
            "1_000",
            "12345678901234567890",
            ".5",
            "1e-7",
            "1e6",
            "20240101.1",
            "+5",
            "0899",
        ];
        assert_eq!(
            written.map(number_text),
            [
                "1.1",
                "288",
                "1000",
                "1000",
                "12345678901234567890",
                "0.5",
                "1e-07",
                "1e+06",
                "2.02401011e+07",
                "5",
                "899"
            ]
        );
    }

    #[test]
    fn a_whole_number_that_is_written_as_a_fraction_stays_one() {
        let written = ["1e3", "2.0", "0899", "1.50", "1e9", "10", "0x10"];
        let normal = written.map(normal_number);
        assert_eq!(normal, ["1000.0", "2.0", "899.0", "1.5", "1e+09", "10", "16"]);
        assert_eq!(
            normal.each_ref().map(|number| without_fraction(number)),
            ["1000", "2", "899", "1.5", "1e+09", "10", "16"]
        );
    }

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
