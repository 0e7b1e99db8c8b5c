//! Sizes and clocks with their units.

/// Bytes of a memory: `512K`, `1M`, `256KiB`, `65536B`. K is 1,024, as in datasheets of memories.
///
/// # Errors
/// No number, no unit, no whole bytes, nothing, or 4 GiB and more.
pub fn bytes(text: &str) -> Result<u64, String> {
    const FORM: &str = "write a size as 512K, 1M or 65536B";
    let (number, unit) = split(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "" => return Err(format!("'{text}' is a size without a unit: {FORM}")),
        _ => return Err(format!("'{text}' has the unknown unit '{unit}': {FORM}")),
    };
    let number: f64 = number.parse().map_err(|_| format!("'{text}' is no size: {FORM}"))?;
    let size = number * factor;
    match size {
        _ if size <= 0.0 => Err(format!("'{text}' is no memory: {FORM}")),
        _ if size.fract() != 0.0 => Err(format!("'{text}' is no whole number of bytes: {FORM}")),
        _ if size >= 4_294_967_296.0 => Err(format!(
            "'{text}' is 4 GiB or more, which no such core addresses: {FORM}"
        )),
        _ => Ok(size as u64),
    }
}

/// Hertz of a clock: `64MHz`, `32.768kHz`, `1GHz`.
///
/// # Errors
/// No number, no unit, less than 1 kHz or more than 10 GHz.
pub fn hertz(text: &str) -> Result<u64, String> {
    const FORM: &str = "write a clock as 64MHz";
    let (number, unit) = split(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "hz" => 1.0,
        "khz" => 1e3,
        "mhz" => 1e6,
        "ghz" => 1e9,
        "" => return Err(format!("'{text}' is a clock without a unit: {FORM}")),
        _ => return Err(format!("'{text}' has the unknown unit '{unit}': {FORM}")),
    };
    let number: f64 = number.parse().map_err(|_| format!("'{text}' is no clock: {FORM}"))?;
    let clock = (number * factor).round();
    if (1e3..=1e10).contains(&clock) {
        Ok(clock as u64)
    } else {
        Err(format!("'{text}' is no clock from 1 kHz to 10 GHz: {FORM}"))
    }
}

/// The number and the letters behind it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let letters = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(letters);
    (number.trim(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("512K"), Ok(512 << 10));
        assert_eq!(bytes("1.5 MiB"), Ok(3 << 19));
        assert_eq!(bytes("65536B"), Ok(65536));
        for (text, says) in [
            ("512", "without a unit"),
            ("0K", "no memory"),
            ("-1K", "no memory"),
            ("0.3B", "no whole number"),
            ("4096M", "4 GiB"),
            ("12Q", "unknown unit 'Q'"),
            ("K", "is no size"),
            ("NaNK", "unknown unit"),
        ] {
            let why = bytes(text).unwrap_err();
            assert!(why.contains(says) && why.contains("512K"), "{text}: {why}");
        }
    }

    #[test]
    fn clocks_have_units() {
        assert_eq!(hertz("64MHz"), Ok(64_000_000));
        assert_eq!(hertz("32.768 kHz"), Ok(32_768));
        for (text, says) in [
            ("64", "without a unit"),
            ("0MHz", "from 1 kHz"),
            ("64M", "unknown unit 'M'"),
        ] {
            let why = hertz(text).unwrap_err();
            assert!(why.contains(says) && why.contains("64MHz"), "{text}: {why}");
        }
    }
}
