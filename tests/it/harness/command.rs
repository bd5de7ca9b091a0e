//! A command of hlsgate as an administrator runs it: what it prints and how it ends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

use super::process::open_to_all;

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A configuration with its keys in a folder, and nothing that runs.
pub struct Desk {
    folder: TempDir,
}

impl Desk {
    /// After `init`, with `config` at the end of the configuration.
    pub fn new(config: &str) -> Desk {
        let desk = Desk::without_keys(config);
        desk.run(&["init"]).succeeded();
        desk
    }

    /// A configuration alone.
    pub fn without_keys(config: &str) -> Desk {
        let folder = tempfile::Builder::new().prefix("hlsgate-it-").tempdir().expect("a temporary folder");
        open_to_all(folder.path());
        let socket = folder.path().join("hlsgate.sock");
        let text = format!("listen = \"unix:{}\"\nrevocations.file = \"revoked\"\n{config}\n", socket.display());
        std::fs::write(folder.path().join("hlsgate.toml"), text).expect("write the configuration");
        Desk { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file of the folder.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).expect("a file of text")
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "")
    }

    /// Runs a command with something on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Outcome {
        run(&mut hlsgate(&self.file("hlsgate.toml"), arguments), input).without(self.folder.path())
    }

    /// The command, for those who need more about it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        hlsgate(&self.file("hlsgate.toml"), arguments)
    }
}

impl Outcome {
    /// Fails the test if the command failed; gives standard output.
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The same with `DIR` where a folder's name is printed.
    pub fn without(self, folder: &Path) -> Outcome {
        let folder = folder.to_str().expect("a plain path");
        Outcome { out: self.out.replace(folder, "DIR"), err: self.err.replace(folder, "DIR"), ..self }
    }
}

/// The hlsgate under test: the one that cargo built beside the tests, or another that `HLSGATE_BIN` names.
pub fn program() -> &'static str {
    static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("HLSGATE_BIN").ok());
    NAMED.as_deref().unwrap_or(env!("CARGO_BIN_EXE_hlsgate"))
}

/// A command with this configuration.
pub fn hlsgate(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("--config").arg(config).args(arguments);
    command
}

/// Runs it to its end.
pub fn run(command: &mut Command, input: &str) -> Outcome {
    finish(start(command), input)
}

/// Starts it; [`finish`] ends it.
pub fn start(command: &mut Command) -> Child {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().expect("the program is there")
}

/// Gives it its input and waits for its end.
pub fn finish(mut child: Child, input: &str) -> Outcome {
    // A command that does not read may have ended by now.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("its output");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Outcome { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
