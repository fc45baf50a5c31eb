//! Sizes as Docker's own flags take them: `64m`, `1.5gb`.

/// Parses a size in bytes: a number, or one with a unit of `k m g t p` in powers of 1024, `b` or `ib` after it.
pub(super) fn parse_bytes(text: &str) -> Option<i64> {
    let is_numeric = |character: char| character.is_ascii_digit() || character == '.';
    let (number, unit) = text.split_at(text.find(|c: char| !is_numeric(c)).unwrap_or(text.len()));
    let unit = unit.trim_start().to_ascii_lowercase();
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
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() {
        return None;
    }
    let unit = 1_u128 << power;
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part =
        if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()?.checked_mul(unit)? / divisor };
    i64::try_from(whole.parse::<u128>().ok()?.checked_mul(unit)?.checked_add(part)?).ok()
}

/// Parses a size of `hostRequirements`: a whole number, or one with `kb`, `mb`, `gb` or `tb`, in powers of 1024.
pub(super) fn parse_requirement(text: &str) -> Option<u64> {
    let units = [("kb", 10), ("mb", 20), ("gb", 30), ("tb", 40)];
    let unit = units.iter().find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)));
    let (digits, power) = unit.unwrap_or((text, 0));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    number.checked_mul(1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_binary_unit() {
        assert_eq!(parse_bytes("64"), Some(64));
        assert_eq!(parse_bytes("64b"), Some(64));
        assert_eq!(parse_bytes("1.5GiB"), Some(1_610_612_736));
        assert_eq!(parse_bytes("512 mb"), Some(536_870_912));
        for wrong in ["", "m", "1x", "-1", "1e3", "1.2.3", ".5g", "99999999999p"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_requirement_has_a_unit_of_two_letters() {
        assert_eq!(parse_requirement("4gb"), Some(4 << 30));
        assert_eq!(parse_requirement("7"), Some(7));
        for wrong in ["", "gb", "4g", "4GB", "4 gb", "1.5gb", "-1", "+1", "99999999tb"] {
            assert_eq!(parse_requirement(wrong), None, "{wrong}");
        }
    }
}
