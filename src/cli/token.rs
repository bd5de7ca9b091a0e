//! `hlsgate token issue|inspect|link`

mod bought;

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::section::duration;
use crate::failure::Failure;
use crate::gate::revocations::is_jti;
use crate::gate::scope::{PassName, Scope, Tier, VideoId};
use crate::gate::token::{Claims, Jti, NewToken, Token as SignedToken, TokenError, UntrustedToken};
use crate::live::Live;
use crate::live::clock::{date, now};
use crate::random;

/// Issue tokens by hand, and look into them.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Print a new token, and nothing else, on standard output.
    Issue(Issue),
    /// Tell what a token is worth here and now.
    Inspect(Inspect),
    /// Print links that open a video: for a browser, and for VLC or a TV.
    Link(Link),
}

/// A token to be made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate token issue --video c05f2318 --for 24h
  hlsgate token issue --pass summer --tier press --jti press-2026-07
  hlsgate token issue --all                                # opens every video, never expires
  hlsgate token issue --invoice HMprBnL9BTXWuPvpoKBS6e      # the buyer kept the receipt only")]
pub(crate) struct Issue {
    #[command(flatten)]
    new: New,
}

#[derive(Debug, Args)]
struct New {
    #[command(flatten)]
    what: What,
    /// The tier that the token names.
    #[arg(long, default_value = "gift")]
    tier: Tier,
    /// For how long it opens, from now on; without it, it never expires.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    lasts: Option<Duration>,
    /// The token's id, which `revoke` names; a random one without it.
    #[arg(long)]
    jti: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Open this video.
    #[arg(long, value_name = "ID")]
    video: Option<VideoId>,
    /// Open the videos of this pass of the configuration.
    #[arg(long, value_name = "NAME")]
    pass: Option<PassName>,
    /// Open every video.
    #[arg(long)]
    all: bool,
    /// The token that this settled BTCPay invoice bought: the same bytes that its buyer gets.
    #[arg(long, value_name = "ID", conflicts_with_all = ["tier", "lasts", "jti"])]
    invoice: Option<String>,
}

/// A token to be looked into.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate token inspect < token.txt
  hlsgate token issue --all | hlsgate token inspect

The exit code is 0 for a token that opens something now, and 1 for any other.")]
pub(crate) struct Inspect {
    /// The token; `-` reads it from standard input, where other users of this machine cannot see it.
    #[arg(default_value = "-")]
    token: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A token to be made into links.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate token link --video c05f2318 --for 48h
  hlsgate token link --all --watch c05f2318 --file index.m3u8

Whoever has such a link can watch. The first keeps the token behind `#`, which no server sees.")]
pub(crate) struct Link {
    #[command(flatten)]
    new: New,
    /// The video that the links lead to; needed with --pass and --all.
    #[arg(long, value_name = "ID")]
    watch: Option<VideoId>,
    /// The playlist in the video's folder.
    #[arg(long, default_value = "master.m3u8")]
    file: String,
}

impl Token {
    pub(super) fn run(self, config: &Path) -> Result<ExitCode, Failure> {
        match self {
            Token::Issue(issue) => {
                let live = Live::load(config)?;
                println!("{}", issue.new.sign(&live)?.1.expose());
                Ok(ExitCode::SUCCESS)
            }
            Token::Inspect(inspect) => inspect.run(&Live::load(config)?),
            Token::Link(link) => link.run(&Live::load(config)?),
        }
    }
}

impl New {
    /// The token and the video that its link leads to, if it says one.
    fn sign(&self, live: &Live) -> Result<(Option<VideoId>, SignedToken), Failure> {
        if let Some(invoice) = &self.what.invoice {
            let (video, token) = bought::token(invoice, live)?;
            return Ok((Some(video), token));
        }
        let sub = self.what.scope();
        let passes = &live.config.catalogue.passes;
        if let Scope::Pass(name) = &sub
            && !passes.contains(name)
        {
            let known: Vec<_> = passes.iter().map(|(name, _)| name.as_str()).collect();
            let hint = if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
            return Err(Failure::new(format!("the configuration has no pass {name:?}")).hint(hint));
        }
        let jti = match &self.jti {
            Some(jti) => jti.clone(),
            None => random::name::<16>()?,
        };
        let jti = Jti::from(&jti).ok().filter(|jti| is_jti(jti)).ok_or_else(|| {
            Failure::new(format!("{jti:?} cannot be a token's id"))
                .hint("use 1 to 128 printable ASCII characters, no space, no # at the start")
                .exit(2)
        })?;
        let iat = now();
        let exp = self.lasts.map(|lasts| iat.plus(lasts.as_secs()));
        let token = NewToken { sub, tier: self.tier, iat, exp, jti }.sign(live.policy.keyring.signing());
        Ok((self.what.video, token))
    }
}

impl What {
    fn scope(&self) -> Scope {
        match (self.video, self.pass) {
            (Some(video), _) => Scope::Video(video),
            (_, Some(pass)) => Scope::Pass(pass),
            // clap requires one of the three.
            _ => Scope::All,
        }
    }
}

impl Inspect {
    fn run(self, live: &Live) -> Result<ExitCode, Failure> {
        let text = match self.token.as_str() {
            "-" => read_token()?,
            text => text.to_owned(),
        };
        let now = now();
        let checked =
            UntrustedToken::parse(text.trim().as_bytes()).and_then(|token| token.verify(&live.policy.keyring));
        let (claims, problem) = match checked {
            Ok(claims) => (Some(claims), claims.refused_at(now, live.policy.leeway, 0, &live.policy.revocations)),
            Err(err) => (None, Some(err)),
        };
        let problem = problem.map(told).or_else(|| unknown_pass(claims.as_ref()?, live));
        match self.json {
            true => println!("{}", as_json(claims.as_ref(), problem.as_deref())),
            false => print_text(claims.as_ref(), problem.as_deref()),
        }
        Ok(if problem.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// In a person's words: with dates.
fn told(err: TokenError) -> String {
    match err {
        TokenError::Expired { exp, now } => format!("it expired at {}, and now is {}", date(exp.0), date(now.0)),
        TokenError::NotYetValid { nbf, now } => {
            format!("it opens from {} on, and now is {}", date(nbf.0), date(now.0))
        }
        err => err.to_string(),
    }
}

fn unknown_pass(claims: &Claims, live: &Live) -> Option<String> {
    match claims.sub() {
        Scope::Pass(name) if !live.config.catalogue.passes.contains(name) => {
            Some(format!("the configuration has no pass {name:?}"))
        }
        _ => None,
    }
}

fn as_json(claims: Option<&Claims>, problem: Option<&str>) -> serde_json::Value {
    let claims = claims.map(|claims| {
        serde_json::json!({
            "sub": claims.sub().to_string(), "tier": claims.tier().as_str(), "iat": claims.iat().0,
            "exp": claims.exp().map(|exp| exp.0), "jti": claims.jti(),
        })
    });
    serde_json::json!({ "opens": problem.is_none(), "problem": problem, "claims": claims })
}

fn print_text(claims: Option<&Claims>, problem: Option<&str>) {
    if let Some(claims) = claims {
        println!("opens    {}", describe(claims.sub()));
        println!("tier     {}", claims.tier());
        println!("issued   {}", date(claims.iat().0));
        println!("expires  {}", claims.exp().map_or("never".into(), |exp| date(exp.0)));
        println!("id       {}", claims.jti());
    }
    match problem {
        None => println!("valid    yes"),
        Some(problem) => println!("valid    no: {problem}"),
    }
}

fn describe(sub: &Scope) -> String {
    match sub {
        Scope::All => "every video".into(),
        Scope::Pass(name) => format!("the videos of pass {name}"),
        Scope::Video(video) => format!("video {video}"),
    }
}

impl Link {
    fn run(self, live: &Live) -> Result<ExitCode, Failure> {
        let Some(site) = &live.config.public_url else {
            return Err(Failure::new("the configuration does not say where the site is")
                .hint("set public_url = \"https://video.example\""));
        };
        let (video, token) = self.new.sign(live)?;
        let video = self
            .watch
            .or(video)
            .ok_or_else(|| Failure::new("which video should the links lead to?").hint("add --watch ID").exit(2))?;
        let media = &live.config.media;
        let page = live.config.shop.page.replace("{video}", video.as_str());
        // What the viewer's pages call it: they take a purchase in from there and then out of sight.
        println!("browser  {site}{page}#restore={}", token.expose());
        let below_prefix = media.of_video(&video)[media.prefix().len()..].to_owned();
        println!("player   {site}{}~{}/{below_prefix}{}", media.prefix(), token.expose(), self.file);
        Ok(ExitCode::SUCCESS)
    }
}

/// The jti of a text that is either an id or a whole token; a token is looked into, not checked.
pub(crate) fn jti_of(text: &str, live: &Live) -> Result<String, Failure> {
    let looks_like_token = text.bytes().filter(|byte| *byte == b'.').count() == 2 && text.starts_with("ey");
    if !looks_like_token {
        return match is_jti(text) {
            true => Ok(text.to_owned()),
            // It may be a mistyped secret, so only what is short is shown.
            false => Err(Failure::new(match text.len() {
                ..=40 => format!("{text:?} is neither a token nor a token's id"),
                length => format!("these {length} bytes are neither a token nor a token's id"),
            })
            .hint("an id has 1 to 128 printable ASCII characters, no space, no # at the start")
            .exit(2)),
        };
    }
    match UntrustedToken::parse(text.as_bytes()).and_then(|token| token.verify(&live.policy.keyring)) {
        Ok(claims) => Ok(claims.jti().to_owned()),
        Err(err @ TokenError::RetiredKey { .. }) => {
            Err(Failure::new(format!("this token opens nothing anyway: {err}"))
                .hint("its buyer can still claim a new one under the same id: revoke that id, which is the invoice's"))
        }
        Err(err @ TokenError::UnknownKey { .. }) => {
            Err(Failure::new(format!("this token opens nothing anyway: {err}")))
        }
        Err(err) => Err(Failure::new(format!("this is no token of this key set: {err}"))),
    }
}

/// A token, or a token's id, from standard input.
pub(crate) fn read_token() -> Result<String, Failure> {
    match read_stdin()? {
        text if text.is_empty() => Err(Failure::new("nothing came in on standard input")
            .hint("put the token there, for instance with `< token.txt` behind the command")
            .exit(2)),
        text => Ok(text),
    }
}

/// Standard input as text, for secrets that must not stand in an argument.
pub(crate) fn read_stdin() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        eprintln!("Paste it here, then Enter and Ctrl-D:");
    }
    let mut text = String::new();
    // A token has at most 4 KiB.
    std::io::stdin()
        .lock()
        .take(64 * 1024)
        .read_to_string(&mut text)
        .map_err(|err| Failure::new(format!("cannot read standard input: {err}")))?;
    Ok(text.trim().to_owned())
}
