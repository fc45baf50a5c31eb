//! Reads dates and times without quotes, and writes them as Compose does where a text is wanted.

/// Returns the text that Compose makes of a date or a time: `2024-01-02` becomes `2024-01-02 00:00:00 +0000 UTC`.
///
/// Known are a date, a date and a time after a space, and both joined by `T` or `t` with `Z` or an offset behind them.
/// An offset of zero is written as on a machine whose own zone is UTC.
pub(super) fn time_text(text: &str) -> Option<String> {
    if text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (date, rest) = match text.find([' ', 't', 'T']) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let date = read_date(date)?;
    let (time, zone) = match rest.as_bytes().first() {
        None => ("00:00:00".to_owned(), ZONE_OF_UTC.to_owned()),
        Some(b' ') => match read_time(rest.trim_start_matches(' '))? {
            (time, "") => (time, ZONE_OF_UTC.to_owned()),
            _ => return None,
        },
        Some(_) => {
            let (time, zone) = read_time(&rest[1..])?;
            (time, read_zone(zone)?)
        }
    };
    Some(format!("{date} {time} {zone}"))
}

const ZONE_OF_UTC: &str = "+0000 UTC";

/// Reads a year of four digits, and a month and a day of one or two.
fn read_date(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4..=4)?;
    let (month, day) = (digits(parts.next()?, 1..=2)?, digits(parts.next()?, 1..=2)?);
    let days = match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let is_date = parts.next().is_none() && (1..=days).contains(&day);
    is_date.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// Reads hours, minutes and seconds of one or two digits, and a fraction of at most nine that count; returns what
/// follows them, too.
fn read_time(text: &str) -> Option<(String, &str)> {
    let (hour, rest) = text.split_once(':')?;
    let (minute, rest) = rest.split_once(':')?;
    let (second, rest) = rest.split_at(digits_at(rest));
    let (hour, minute, second) = (digits(hour, 1..=2)?, digits(minute, 1..=2)?, digits(second, 1..=2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    let Some(after) = rest.strip_prefix(['.', ',']).filter(|after| digits_at(after) > 0) else {
        return Some((time, rest));
    };
    let (fraction, rest) = after.split_at(digits_at(after));
    let fraction = fraction[..fraction.len().min(9)].trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some((format!("{time}{point}{fraction}"), rest))
}

/// Reads `Z`, or an offset such as `+02:00`.
fn read_zone(text: &str) -> Option<String> {
    if text == "Z" {
        return Some(ZONE_OF_UTC.to_owned());
    }
    let sign = text.chars().next().filter(|sign| matches!(sign, '+' | '-'))?;
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2..=2)?, digits(minutes, 2..=2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    if hours == 0 && minutes == 0 {
        return Some(ZONE_OF_UTC.to_owned());
    }
    let offset = format!("{sign}{hours:02}{minutes:02}");
    Some(format!("{offset} {offset}"))
}

/// Returns the number that `text` is, if it is digits of one of the `lengths`.
fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let fits = lengths.contains(&text.len()) && digits_at(text) == text.len();
    text.parse().ok().filter(|_| fits)
}

/// Returns how many digits `text` begins with.
fn digits_at(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_midnight() {
        assert_eq!(time_text("2024-01-02").unwrap(), "2024-01-02 00:00:00 +0000 UTC");
        assert_eq!(time_text("2024-1-2").unwrap(), "2024-01-02 00:00:00 +0000 UTC");
    }

    #[test]
    fn a_time_is_written_with_its_zone() {
        for (text, written) in [
            ("2024-01-02T03:04:05Z", "2024-01-02 03:04:05 +0000 UTC"),
            ("2024-1-2t3:4:5.250Z", "2024-01-02 03:04:05.25 +0000 UTC"),
            ("2024-01-02  03:04:05,5", "2024-01-02 03:04:05.5 +0000 UTC"),
            ("2024-01-02T03:04:05.1234567891+02:00", "2024-01-02 03:04:05.123456789 +0200 +0200"),
            ("2024-01-02T03:04:05-05:30", "2024-01-02 03:04:05 -0530 -0530"),
            ("2024-01-02T03:04:05-00:00", "2024-01-02 03:04:05 +0000 UTC"),
        ] {
            assert_eq!(time_text(text).unwrap(), written, "{text}");
        }
    }

    #[test]
    fn what_only_resembles_a_time_is_none() {
        for text in [
            "2024-13-02",
            "2023-02-29",
            "24-01-02",
            "2024-01",
            "2024-01-02T03:04:05",
            "2024-01-02T03:04Z",
            "2024-01-02T24:04:05Z",
            "2024-01-02T03:04:60Z",
            "2024-01-02T03:04:05z",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:05+2:00",
            "2024-01-02T03:04:05+24:00",
            "2024-01-02 03:04:05Z",
            "2024-01-02 03:04:05 +1",
            "2024-01-02é",
            "",
        ] {
            assert_eq!(time_text(text), None, "{text}");
        }
    }
}
