//! Tokens that no longer open anything, by `jti`.

use std::collections::HashSet;

use thiserror::Error;

/// Longest token id in bytes.
pub(crate) const MAX_JTI_LEN: usize = 128;

/// The revoked token ids. Asking costs the same for none and for a million.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations(HashSet<Box<str>>);

/// A line of the file that is no token id.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "line {line} is no token id: expected 1 to {MAX_JTI_LEN} printable ASCII characters without spaces, or a # comment"
)]
pub struct RevocationsError {
    /// The line's number, from 1.
    pub(crate) line: usize,
}

impl Revocations {
    /// Reads the file's text: one `jti` a line; empty lines and what follows a `#` at the start of a word are comments.
    ///
    /// A last line without its newline counts too: a crash in mid-write must not bring a token back to life. Nor must it
    /// keep the daemon down: zero bytes, which some file systems leave where a write did not end, are blanks.
    pub fn parse(text: &str) -> Result<Revocations, RevocationsError> {
        let mut jtis = HashSet::with_capacity(text.lines().count());
        for (index, line) in text.lines().enumerate() {
            if let Some(jti) = jti_of_line(line) {
                if !is_jti(jti) {
                    return Err(RevocationsError { line: index + 1 });
                }
                jtis.insert(jti.into());
            }
        }
        Ok(Revocations(jtis))
    }

    /// Whether the token of this id is revoked.
    pub(crate) fn contains(&self, jti: &str) -> bool {
        self.0.contains(jti)
    }

    /// How many ids are revoked.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The id on a line of the file, without its comment; `None` for a line that holds none.
pub(crate) fn jti_of_line(line: &str) -> Option<&str> {
    let starts_comment = |at: usize| at == 0 || matches!(line.as_bytes()[at - 1], b' ' | b'\t');
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| starts_comment(*at));
    let text = &line[..comment.unwrap_or(line.len())];
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    Some(text).filter(|text| !text.is_empty())
}

/// Whether `text` can be a token's id: 1 to [`MAX_JTI_LEN`] printable ASCII characters, no space, not starting with `#`.
pub(crate) fn is_jti(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_JTI_LEN
        && !text.starts_with('#')
        && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_id_a_comment_or_nothing() {
        let file = "# leaked in March\nHMprBnL9BTXWuPvpoKBS6e\n\n  gift-7  # press\r\nx#y\nlast";
        let revoked = Revocations::parse(file).unwrap();
        assert_eq!(revoked.len(), 4);
        for jti in ["HMprBnL9BTXWuPvpoKBS6e", "gift-7", "x#y", "last"] {
            assert!(revoked.contains(jti), "{jti}");
        }
        assert_eq!(Revocations::parse("ok\ntwo words\n"), Err(RevocationsError { line: 2 }));
    }

    #[test]
    fn what_a_crash_leaves_of_a_line_harms_nothing() {
        let whole = "gift-1 # 2026-07-30T09:00:00Z\ngift-2 # 2026-07-30T09:00:01Z\n";
        for length in 0..=whole.len() {
            for tail in ["", "\0\0\0", "\0\0\ngift-3\n"] {
                let revoked = Revocations::parse(&format!("{}{tail}", &whole[..length]));
                let revoked = revoked.unwrap_or_else(|err| panic!("{length} {tail:?}: {err}"));
                assert_eq!(revoked.contains("gift-1"), length >= "gift-1".len());
                assert_eq!(revoked.contains("gift-3"), tail.ends_with('\n'), "{length} {tail:?}");
            }
        }
        assert_eq!(Revocations::parse("a\0b"), Err(RevocationsError { line: 1 }));
    }
}
