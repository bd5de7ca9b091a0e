//! `hlsgate revoke`

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::on_disk;
use super::token::{jti_of, read_token};
use crate::check::Refuses;
use crate::failure::Failure;
use crate::gate::revocations::jti_of_line;
use crate::live::Live;
use crate::live::clock::{date, now};

/// Longest wait for the daemon to have read the list: it looks every 2 s where nobody tells it of a change.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions.
const PACE: Duration = Duration::from_millis(50);

/// Make a token worthless.
///
/// A running daemon follows within a second; where nginx caches decisions it takes up to 10 seconds more.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate revoke HMprBnL9BTXWuPvpoKBS6e
  hlsgate revoke - < token.txt        # a whole token; as an argument, other users could see it
  hlsgate revoke --undo HMprBnL9BTXWuPvpoKBS6e
  hlsgate revoke --list")]
pub(crate) struct Revoke {
    /// A token's id (for a bought one: the invoice's id), or a whole token; `-` reads it from standard input.
    #[arg(value_name = "JTI|TOKEN", required_unless_present = "list")]
    token: Option<String>,
    /// Show what is revoked.
    #[arg(long, conflicts_with_all = ["undo", "token"])]
    list: bool,
    /// Let the token open again.
    #[arg(long)]
    undo: bool,
}

impl Revoke {
    pub(super) fn run(self, config: &Path) -> Result<ExitCode, Failure> {
        let live = Live::load(config)?;
        let file = &live.config.revocations_file;
        let Some(token) = self.token else {
            list(file)?;
            return Ok(ExitCode::SUCCESS);
        };
        let text = if token == "-" { read_token()? } else { token };
        let jti = jti_of(&text, &live)?;
        let folder = on_disk::folder_of(file);
        if !folder.exists() {
            return Err(Failure::new(format!("the folder {} does not exist", folder.display()))
                .hint("make it, or change [revocations] file"));
        }
        let _lock = on_disk::lock_folder(file)?;
        // Read again under the lock: another command may have been faster.
        let revoked = Live::load(config)?.policy.revocations.contains(&jti);
        match (self.undo, revoked) {
            (false, true) => {
                println!("{jti} was revoked already");
                return in_force(&live, &jti);
            }
            (false, false) => {
                append(file, &format!("{jti} # {}\n", date(now().0)))
                    .map_err(|err| Failure::file("write", file, &err))?;
                println!("revoked {jti}");
                return in_force(&live, &jti);
            }
            (true, true) => {
                undo(file, &jti)?;
                println!("{jti} opens again");
            }
            (true, false) => return Err(Failure::new(format!("{jti} is not revoked"))),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits until the daemon of this configuration refuses a token of this id, and says so: a list that nobody reads revokes nobody.
fn in_force(live: &Live, jti: &str) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    loop {
        match Refuses::ask(live, jti) {
            Refuses::Yes => eprintln!("in force: the daemon refuses it"),
            // One that starts later reads the list first.
            Refuses::NoDaemon => {}
            Refuses::Unknown => {
                eprintln!("whether it is in force cannot be told: the daemon cannot be asked from here")
            }
            Refuses::No if began.elapsed() < PATIENCE => {
                std::thread::sleep(PACE);
                continue;
            }
            Refuses::No => {
                return Err(Failure::new(format!("the daemon still lets {jti} in, though the list names it")).hint(
                    "`systemctl reload hlsgate`, and see its log: it reads another file, or cannot read this one",
                ));
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
}

/// Adds a line: on the disk when this returns, or not there at all.
fn append(file: &Path, line: &str) -> io::Result<()> {
    let existed = file.exists();
    // Not secret: ids open nothing. The daemon, another user, has to read it.
    let mut out = OpenOptions::new().read(true).append(true).create(true).mode(0o644).open(file)?;
    let before = out.metadata()?.len();
    // A write that was cut short by a crash left half a line; ours begins on a new one.
    let torn = before > 0 && last_byte(&mut out)? != b'\n';
    let text = if torn { format!("\n{line}") } else { line.to_owned() };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.sync_all());
    if let Err(err) = written {
        // A full disk: half an id would revoke nobody and hide the failure.
        let _ = out.set_len(before);
        return Err(err);
    }
    if !existed {
        on_disk::give_to_daemon(file)?;
        File::open(on_disk::folder_of(file))?.sync_all()?;
    }
    Ok(())
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn undo(file: &Path, jti: &str) -> Result<(), Failure> {
    let kept: Vec<u8> = lines(file)?.into_iter().filter(|line| id(line).as_deref() != Some(jti)).flatten().collect();
    on_disk::replace(file, &kept)
}

fn list(file: &Path) -> Result<(), Failure> {
    for line in lines(file)?.iter().filter(|line| id(line).is_some()) {
        println!("{}", String::from_utf8_lossy(line).trim_matches(|c: char| c.is_whitespace() || c == '\0'));
    }
    Ok(())
}

/// The file's lines as they are, each with its newline; none if there is no file.
fn lines(file: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(Failure::file("read", file, &err)),
    }
}

fn id(line: &[u8]) -> Option<String> {
    jti_of_line(&String::from_utf8_lossy(line)).map(str::to_owned)
}
