//! Numbers and strings as the page shows them.

/// `s` with what HTML would read as markup escaped.
pub fn escape(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// `1234567` as `1,234,567`.
pub fn grouped(v: u64) -> String {
    let digits = v.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Bytes for people: `812 B`, `39.6 KiB`, `4.00 MiB`.
pub fn bytes(v: u64) -> String {
    let kib = v as f64 / 1024.0;
    if v < 1024 {
        format!("{v} B")
    } else if kib < 1024.0 {
        format!("{kib:.1} KiB")
    } else {
        format!("{:.2} MiB", kib / 1024.0)
    }
}

/// A count for people: `812`, `39.6 k`, `12.3 M`.
pub fn count(v: u64) -> String {
    let v = v as f64;
    if v < 1e3 {
        format!("{v}")
    } else if v < 1e6 {
        format!("{:.1} k", v / 1e3)
    } else if v < 1e9 {
        format!("{:.1} M", v / 1e6)
    } else {
        format!("{:.2} G", v / 1e9)
    }
}

/// The longest end of a module path, cut at a dot, that has at most `max` characters; empty if none has.
pub fn tail(s: &str, max: usize) -> &str {
    let starts = std::iter::once(0).chain(s.match_indices('.').map(|(dot, _)| dot + 1));
    starts
        .map(|start| &s[start..])
        .find(|end| end.chars().count() <= max)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [bytes(812), bytes(40_550), bytes(4 << 20)],
            ["812 B", "39.6 KiB", "4.00 MiB"]
        );
        assert_eq!(
            [count(12), count(39_600), count(12_300_000)],
            ["12", "39.6 k", "12.3 M"]
        );
        assert_eq!(tail("down.0.resnets.1", 9), "resnets.1");
        assert_eq!((tail("conv_in", 7), tail("conv_in", 6)), ("conv_in", ""));
        assert_eq!(escape("<a & 'b'>"), "&lt;a &amp; &#39;b&#39;&gt;");
    }
}
