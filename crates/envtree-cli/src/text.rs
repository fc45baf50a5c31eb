//! Durations, ages, sizes and names as people write and read them.

use std::path::Path;
use std::time::Duration;

use envtree::event::Act;
pub(crate) use envtree::words::{bytes, counted, shell_quoted};
use jiff::{SignedDuration, Timestamp};

const DAY: u64 = 24 * 60 * 60;

/// Reads a duration such as `60s`, `2m`, `1h30m`, `1d`; a bare number counts seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let bad = || "expected a duration such as `60s`, `2m` or `1h30m`; a bare number is seconds".to_owned();
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) => (days.trim().parse::<u64>().map_err(|_| bad())?, rest.trim()),
        None => (0, text),
    };
    let days = Duration::from_secs(days.checked_mul(DAY).ok_or_else(bad)?);
    if rest.is_empty() && !days.is_zero() {
        return Ok(days);
    }
    let rest: SignedDuration = rest.parse().map_err(|_| bad())?;
    let rest = Duration::try_from(rest).map_err(|_| "a duration cannot be negative".to_owned())?;
    days.checked_add(rest).ok_or_else(bad)
}

/// Reads a moment: a time such as `2026-01-02T03:04:05Z`, or how long ago it was.
pub(crate) fn parse_since(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let ago = parse_duration(text).map_err(|_| {
        "expected a duration such as `10m`, or a time such as `2026-01-02T03:04:05Z`".to_owned()
    })?;
    Timestamp::now()
        .checked_sub(SignedDuration::try_from(ago).map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())
}

/// Reads how many containers a service gets: `web=3`.
pub(crate) fn parse_scale(text: &str) -> Result<(String, u32), String> {
    let expected = || "expected a service and a number, such as `web=3`".to_owned();
    let (service, number) =
        text.split_once('=').filter(|(service, _)| !service.is_empty()).ok_or_else(expected)?;
    Ok((service.to_owned(), number.parse().map_err(|_| expected())?))
}

/// Writes how long something took: `12 ms`, `1.4 s`, `2 m 5 s`.
pub(crate) fn elapsed(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        format!("{millis} ms")
    } else if millis < 60_000 {
        format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
    } else {
        let seconds = duration.as_secs();
        format!("{} m {} s", seconds / 60, seconds % 60)
    }
}

/// Writes how long ago `then` was, in its largest unit: `now`, `5 m`, `3 h`, `12 d`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    match seconds {
        ..60 => "now".to_owned(),
        60..3_600 => format!("{} m", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Writes since when nothing used what was used at `then`: `unused for 3 h`.
pub(crate) fn unused(then: Timestamp, now: Timestamp) -> String {
    match age(then, now).as_str() {
        "now" => "unused since just now".to_owned(),
        age => format!("unused for {age}"),
    }
}

/// Writes how many bytes a branch holds of its own, and how many can be seen in it at most.
pub(crate) fn branch_size(own: Option<u64>, logical_at_most: Option<u64>) -> String {
    match (own, logical_at_most) {
        (Some(own), Some(most)) => format!("{} of its own, at most {} in all", bytes(own), bytes(most)),
        (Some(own), None) => format!("{} of its own", bytes(own)),
        (None, _) => "size unknown".to_owned(),
    }
}

/// Writes each item on a line of its own, behind `indent`.
pub(crate) fn lines(indent: &str, items: &[String]) -> String {
    items.iter().flat_map(|item| [indent, item, "\n"]).collect()
}

/// Returns `path` for people and JSON; bytes that are no UTF-8 are replaced.
pub(crate) fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Returns the name of an Engine call, as a plan shows it: `create network`.
pub(crate) fn act(act: Act) -> &'static str {
    match act {
        Act::PullImage => "pull image",
        Act::BuildImage => "build image",
        Act::RemoveImage => "remove image",
        Act::CreateNetwork => "create network",
        Act::RemoveNetwork => "remove network",
        Act::CreateVolume => "create volume",
        Act::RemoveVolume => "remove volume",
        Act::CreateContainer => "create container",
        Act::ConnectNetwork => "connect container",
        Act::DisconnectNetwork => "disconnect container",
        Act::PutFiles => "put files into container",
        Act::CopyLayer => "copy data into volume",
        Act::RunHook => "run a hook in container",
        Act::StartContainer => "start container",
        Act::UnpauseContainer => "unpause container",
        Act::StopContainer => "stop container",
        Act::RemoveContainer => "remove container",
    }
}

/// Removes escape sequences and control characters, so that foreign text cannot steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    let text = console::strip_ansi_codes(text);
    let clean = |c: char| {
        if c == '\t' { Some(' ') } else { (!c.is_control()).then_some(c) }
    };
    text.chars().filter_map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("60s"), Ok(60));
        assert_eq!(seconds("2m"), Ok(120));
        assert_eq!(seconds("1h30m"), Ok(5_400));
        assert_eq!(seconds("1d"), Ok(86_400));
        assert_eq!(seconds("1d2h"), Ok(93_600));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "soon", "-5s", "d", "5 parsecs", "99999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn elapsed_times_have_one_or_two_units() {
        assert_eq!(elapsed(Duration::from_micros(400)), "0 ms");
        assert_eq!(elapsed(Duration::from_millis(12)), "12 ms");
        assert_eq!(elapsed(Duration::from_millis(1_449)), "1.4 s");
        assert_eq!(elapsed(Duration::from_secs(125)), "2 m 5 s");
    }

    #[test]
    fn ages_have_one_unit() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ages = [0, 59, 60, 7_200, 200_000].map(|second| age(at(0), at(second)));
        assert_eq!(ages, ["now", "now", "1 m", "2 h", "2 d"]);
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(plain("\u{1b}[31mred\u{1b}[0m\u{7}\tdone"), "red done");
    }
}
