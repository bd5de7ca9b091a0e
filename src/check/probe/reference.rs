//! The bytes of a protected file, as a good token gets them: what no other answer may hold.

use std::collections::HashSet;

/// As many bytes in a row as no page has by chance.
const WINDOW: usize = 16;
/// Fewer bytes than this may stand in any page.
const SHORTEST: usize = 8;

/// A file's bytes; of a playlist that changes while it is looked at, those of every version that was seen.
pub(crate) struct Reference {
    body: Vec<u8>,
    /// The bytes went on behind what was read.
    cut: bool,
    len: usize,
    windows: HashSet<[u8; WINDOW]>,
}

impl Reference {
    /// The file with these bytes. `cut`: they are its beginning.
    pub(crate) fn new(body: Vec<u8>, cut: bool) -> Reference {
        let mut reference = Reference { len: WINDOW.min(body.len()), body: Vec::new(), cut, windows: HashSet::new() };
        reference.renew(body);
        reference
    }

    /// Notes that the file has other bytes now. Those of before are still its own.
    pub(crate) fn renew(&mut self, body: Vec<u8>) {
        if self.len >= SHORTEST {
            self.windows.extend(body.windows(self.len).filter(|window| telling(window)).map(padded));
        }
        self.body = body;
    }

    /// The bytes, as they came last.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether there is anything that an answer could be known by.
    pub(crate) fn can_be_known(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Whether `body` holds a piece of the file.
    pub(crate) fn leaks_into(&self, body: &[u8]) -> bool {
        self.can_be_known() && body.windows(self.len).any(|window| self.windows.contains(&padded(window)))
    }

    /// Whether `body` is the file, as far as both were read. `cut`: the body's end was not read.
    pub(crate) fn is(&self, body: &[u8], cut: bool) -> bool {
        match self.cut && cut {
            // Heads of different lengths leave different room for what follows.
            true => body.iter().zip(&self.body).all(|(one, other)| one == other),
            false => body == self.body,
        }
    }
}

fn padded(window: &[u8]) -> [u8; WINDOW] {
    let mut padded = [0; WINDOW];
    padded[..window.len()].copy_from_slice(window);
    padded
}

/// Padding says nothing about where bytes come from.
fn telling(window: &[u8]) -> bool {
    window.iter().any(|byte| *byte != window[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_any_version_is_known_and_padding_is_not() {
        let mut file = Reference::new([&[0; 40][..], b"0123456789abcdef!"].concat(), false);
        assert!(file.leaks_into(b"<html>0123456789abcdef</html>"));
        assert!(!file.leaks_into(&[0; 100]));
        assert!(!file.leaks_into(b"0123456789abcde"));
        file.renew(b"fedcba9876543210".to_vec());
        assert!(file.leaks_into(b"0123456789abcdef") && file.leaks_into(b"fedcba9876543210"));
        assert!(file.is(b"fedcba9876543210", false) && !file.is(b"fedcba987654321", true));
        // Captions can be as short as this.
        let short = Reference::new(b"WEBVTT\n\n".to_vec(), false);
        assert!(short.leaks_into(b"xWEBVTT\n\nx") && !short.leaks_into(b"WEBVTT"));
        assert!(!Reference::new(b"ok\n".to_vec(), false).can_be_known());
        assert!(Reference::new(b"abc".to_vec(), true).is(b"abcdef", true));
    }
}
