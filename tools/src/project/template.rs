//! Templates: text with names between two `@`, such as `@BOARD@`.

use crate::Error;

/// `text` with every name replaced by what `value` gives for it.
///
/// # Errors
/// Of kind `Failed` for a name that has no value: a mistake in the template.
pub fn fill<'v>(text: &str, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, Error> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let after = &rest[at + 1..];
        let length = after
            .bytes()
            .take_while(|byte| byte.is_ascii_uppercase() || *byte == b'_')
            .count();
        filled.push_str(&rest[..at]);
        if length > 0 && after[length..].starts_with('@') {
            let name = &after[..length];
            let value =
                value(name).ok_or_else(|| Error::new(format_args!("a template names @{name}@, which has no value")))?;
            filled.push_str(value);
            rest = &after[length + 1..];
        } else {
            filled.push('@');
            rest = after;
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_nothing_else() {
        let value = |name: &str| (name == "BOARD").then_some("x@BOARD@");
        assert_eq!(fill("a @BOARD@, b@c @D @", value).unwrap(), "a x@BOARD@, b@c @D @");
        let error = fill("@OTHER@", value).unwrap_err();
        assert!(error.to_string().contains("@OTHER@"), "{error}");
    }
}
