//! Times and sizes as Compose writes them: `1m30s`, `1.5gb`.

use std::time::Duration;

/// What a time must be.
pub(super) const DURATION: &str = "a time with a unit, such as `30s`";
/// What a size must be.
pub(super) const BYTES: &str = "a size such as `64m`";

/// Parses a time: numbers with the units `w d h m s ms us ns`, one after another; `0` needs no unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !is_numeric(c))?);
        let (unit, after) = after.split_at(after.find(is_numeric).unwrap_or(after.len()));
        nanoseconds = nanoseconds.checked_add(scaled(number, nanoseconds_of(unit)?)?)?;
        rest = after;
    }
    let total = u64::try_from(nanoseconds).ok()?;
    (!text.is_empty()).then(|| Duration::from_nanos(total))
}

/// Parses a time that may have a sign; returns whether it is negative, and the time without the sign.
pub(super) fn parse_signed_duration(text: &str) -> Option<(bool, Duration)> {
    let time = parse_duration(text.strip_prefix(['-', '+']).unwrap_or(text))?;
    Some((text.starts_with('-') && !time.is_zero(), time))
}

fn is_numeric(character: char) -> bool {
    character.is_ascii_digit() || character == '.'
}

fn nanoseconds_of(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        "d" => 86_400 * 1_000_000_000,
        "w" => 604_800 * 1_000_000_000,
        _ => return None,
    })
}

/// Parses a size in bytes: a number, or one with a unit of `k m g t p`, in powers of 1024, `b`, `i` or `ib` after it.
///
/// `-1` stands for no limit.
pub(super) fn parse_bytes(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let (number, unit) = text.split_at(text.find(|c: char| !is_numeric(c)).unwrap_or(text.len()));
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let power = match unit.strip_suffix('i').unwrap_or(unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    i64::try_from(scaled(number, 1 << power)?).ok()
}

/// Returns a decimal number times `unit`, without what is left behind the point.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| {
        if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() }
    };
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole = digits(whole)?.checked_mul(unit)?;
    whole.checked_add(digits(fraction)?.checked_mul(unit)? / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_row_of_numbers_with_units() {
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("1w2d"), Some(Duration::from_hours(9 * 24)));
        assert_eq!(parse_duration("0"), Some(Duration::ZERO));
        for wrong in ["", "30", "s", "1x", "-1s", "1.2.3s", "99999999999w"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_may_have_a_sign() {
        let second = Duration::from_secs(1);
        assert_eq!(parse_signed_duration("+1s"), Some((false, second)));
        assert_eq!(parse_signed_duration("-1s"), Some((true, second)));
        assert_eq!(parse_signed_duration("-0s"), Some((false, Duration::ZERO)));
        assert_eq!(parse_signed_duration("--1s"), None);
    }

    #[test]
    fn a_size_is_a_number_with_a_binary_unit() {
        assert_eq!(parse_bytes("64"), Some(64));
        assert_eq!(parse_bytes("64b"), Some(64));
        assert_eq!(parse_bytes("1.5gb"), Some(1_610_612_736));
        assert_eq!(parse_bytes("512 MiB"), Some(536_870_912));
        assert_eq!(parse_bytes("-1"), Some(-1));
        for wrong in ["", "m", "1x", "-2", "1e3", "99999999999p"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }
}
