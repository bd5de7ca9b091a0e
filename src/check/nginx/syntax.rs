//! nginx's configuration language (`ngx_conf_file.c`): words, quotes, comments, blocks. It knows no directive by name but
//! `include`, and the Lua blocks, whose inside is another language.

use std::fmt;
use std::sync::Arc;

/// One directive with its words and, if it has one, its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    /// Its name; in a `map` or `types` block the left side.
    pub name: String,
    /// The words behind it, unquoted.
    pub args: Vec<String>,
    /// What stands in its braces.
    pub block: Option<Vec<Directive>>,
    /// Where it was read.
    pub place: Place,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file.
    pub file: Arc<str>,
    /// Its line, from 1.
    pub line: usize,
}

/// A text that nginx would not have taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    place: Place,
    what: &'static str,
}

/// Deepest nesting of blocks: far above any honest one.
const MAX_DEPTH: usize = 64;

/// Reads the text of one file; `include` stays as it is.
pub(super) fn parse(text: &str, file: &str) -> Result<Vec<Directive>, SyntaxError> {
    let mut reader = Reader { rest: text, place: Place { file: file.into(), line: 1 } };
    reader.block(0)
}

impl Directive {
    /// Every directive of its block; none if it has no block.
    pub(crate) fn inside(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Those of its block that have this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Directive> {
        self.inside().iter().filter(move |directive| directive.name == name)
    }

    /// The words behind the name without the last one, which in some directives is of another kind.
    pub(crate) fn all_but_last(&self) -> impl Iterator<Item = &str> {
        self.args[..self.args.len().saturating_sub(1)].iter().map(String::as_str)
    }

    /// The first word behind the name, or nothing.
    pub(crate) fn first(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    /// The directive as one would write it, without its block.
    pub(crate) fn text(&self) -> String {
        std::iter::once(&self.name).chain(&self.args).map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

struct Reader<'a> {
    rest: &'a str,
    place: Place,
}

/// What a word can end with, or stand in the place of a word.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
    End,
}

impl Reader<'_> {
    /// Everything up to the closing brace, or at depth 0 up to the end.
    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, SyntaxError> {
        if depth > MAX_DEPTH {
            return self.wrong("blocks nested too deep");
        }
        let mut directives = Vec::new();
        loop {
            let name = match self.token()? {
                Token::Word(name) => name,
                Token::Close if depth > 0 => return Ok(directives),
                Token::End if depth == 0 => return Ok(directives),
                Token::End => return self.wrong("a block is not closed"),
                Token::Close => return self.wrong("a closing brace too many"),
                Token::Semicolon => return self.wrong("a semicolon without a directive"),
                Token::Open => return self.wrong("a block without a directive"),
            };
            let place = self.place.clone();
            let mut args = Vec::new();
            let block = loop {
                match self.token()? {
                    Token::Word(word) => args.push(word),
                    Token::Semicolon => break None,
                    Token::Open if name.ends_with("_by_lua_block") => break Some(self.skip_lua()?),
                    Token::Open => break Some(self.block(depth + 1)?),
                    Token::Close | Token::End => return self.wrong("a directive without its semicolon"),
                }
            };
            directives.push(Directive { name, args, block, place });
        }
    }

    fn token(&mut self) -> Result<Token, SyntaxError> {
        loop {
            let Some(next) = self.rest.chars().next() else { return Ok(Token::End) };
            match next {
                ' ' | '\t' | '\r' | '\n' => self.step(next),
                '#' => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                ';' | '{' | '}' => {
                    self.step(next);
                    return Ok(match next {
                        ';' => Token::Semicolon,
                        '{' => Token::Open,
                        _ => Token::Close,
                    });
                }
                '"' | '\'' => {
                    self.step(next);
                    return self.quoted(next);
                }
                _ => return self.plain(),
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, SyntaxError> {
        let mut word = String::new();
        while let Some(next) = self.rest.chars().next() {
            self.step(next);
            match next {
                '\\' => self.escaped(&mut word),
                _ if next == quote => return Ok(Token::Word(word)),
                _ => word.push(next),
            }
        }
        self.wrong("a quote is not closed")
    }

    /// A word without quotes around it: it ends before a blank, a semicolon or a brace, but `${name}` is part of it.
    fn plain(&mut self) -> Result<Token, SyntaxError> {
        let mut word = String::new();
        let mut in_variable = false;
        while let Some(next) = self.rest.chars().next() {
            match next {
                '{' if word.ends_with('$') => in_variable = true,
                '}' if in_variable => in_variable = false,
                ' ' | '\t' | '\r' | '\n' | ';' | '{' => break,
                _ => {}
            }
            self.step(next);
            match next {
                '\\' => self.escaped(&mut word),
                _ => word.push(next),
            }
        }
        Ok(Token::Word(word))
    }

    /// What stands behind a backslash: nginx knows `\"`, `\'`, `\\`, `\t`, `\r`, `\n`, and keeps any other backslash.
    fn escaped(&mut self, word: &mut String) {
        let Some(next) = self.rest.chars().next() else { return word.push('\\') };
        self.step(next);
        match next {
            '"' | '\'' | '\\' => word.push(next),
            't' => word.push('\t'),
            'r' => word.push('\r'),
            'n' => word.push('\n'),
            _ => word.extend(['\\', next]),
        }
    }

    /// Passes over Lua up to the brace that closes its block. Its strings and comments may hold braces too.
    fn skip_lua(&mut self) -> Result<Vec<Directive>, SyntaxError> {
        let mut depth = 1;
        while let Some(next) = self.rest.chars().next() {
            if self.rest.starts_with("--") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
                continue;
            }
            self.step(next);
            match next {
                '"' | '\'' => drop(self.quoted(next)?),
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(Vec::new());
            }
        }
        self.wrong("a block is not closed")
    }

    fn step(&mut self, next: char) {
        self.rest = &self.rest[next.len_utf8()..];
        self.place.line += usize::from(next == '\n');
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, SyntaxError> {
        Err(SyntaxError { place: self.place.clone(), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_comments_and_blocks_are_read_as_nginx_reads_them() {
        let text = r#"a; # b;
            map $uri ${x}y { "~^/a{2}\"b" 'c d'; default ""; }
            if ($a = "}") { return 200 '{"a":1}\n'; }
            location ~ \.ts$ { root /srv/a\ b; }"#;
        let read = parse(text, "f").unwrap();
        assert_eq!(read[0].text(), "a");
        assert_eq!(read[1].args, ["$uri", "${x}y"]);
        assert_eq!((read[1].inside()[0].name.as_str(), read[1].inside()[0].first()), ("~^/a{2}\"b", "c d"));
        assert_eq!(read[2].args, ["($a", "=", "}", ")"]);
        assert_eq!(read[2].inside()[0].args[1], "{\"a\":1}\n");
        assert_eq!(read[3].args, ["~", r"\.ts$"]);
        assert_eq!(read[3].inside()[0].first(), r"/srv/a\ b");
        assert_eq!(read[3].place.to_string(), "f:4");
    }

    #[test]
    fn lua_is_passed_over() {
        let read = parse("content_by_lua_block { -- }\n if x then s = '}' t = {} end } b;", "f").unwrap();
        assert_eq!(read.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["content_by_lua_block", "b"]);
    }

    #[test]
    fn what_nginx_would_not_take_is_refused_with_its_place() {
        for (text, expected) in [
            ("a {", "f:1: a block is not closed"),
            ("a;\n}", "f:2: a closing brace too many"),
            ("a \"b", "f:1: a quote is not closed"),
            ("a\n", "f:2: a directive without its semicolon"),
            (";", "f:1: a semicolon without a directive"),
        ] {
            assert_eq!(parse(text, "f").map_err(|err| err.to_string()), Err(expected.into()));
        }
    }
}
