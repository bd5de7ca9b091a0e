//! Child processes: started with their output in a file, killed and reaped on drop.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A child that does not outlive its test.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`, with both outputs appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Process {
        Process::start_with_input(command, log, Stdio::null())
    }

    /// The same with something as standard input.
    pub fn start_with_input(command: &mut Command, log: &Path, input: Stdio) -> Process {
        let out = File::options().create(true).append(true).open(log).expect("open a log");
        let err = out.try_clone().expect("share the log");
        command.stdin(input).stdout(out).stderr(err);
        Process { child: spawn(command) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `HUP`.
    pub fn signal(&self, name: &str) {
        output("kill", &[&format!("-{name}"), &self.pid().to_string()]);
    }

    /// Stops it, as a hung process stands: every thread of it, which on a busy machine takes each its own moment.
    pub fn freeze(&self) {
        self.signal("STOP");
        let stands = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // proc(5): the state stands behind the name in parentheses.
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        };
        let tasks = || std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its threads");
        let began = std::time::Instant::now();
        while !tasks().flatten().all(stands) {
            assert!(began.elapsed() < super::DEADLINE, "it does not stand still");
            std::thread::yield_now();
        }
    }

    /// The exit code, if it has ended by itself.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("ask for a child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program that has to succeed; gives its standard output.
pub fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|err| missing(program, &err));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {:?} failed: {}\n{stderr}", arguments.first(), output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// Copies a program to where it is to be run.
///
/// Another process does: what is open for writing here is so in every child that another test starts meanwhile, until that
/// executes its own program, and the kernel runs no file that is ("Text file busy").
pub fn install(program: &Path, to: &Path) {
    let installed = Command::new("install").args(["-m", "755"]).args([program, to]).status();
    assert!(installed.expect("install is there").success(), "{} is not installed", to.display());
}

/// Lets nginx's workers, which run as another user, into a folder.
pub fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("open a folder");
}

fn spawn(command: &mut Command) -> Child {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().unwrap_or_else(|err| missing(&program, &err))
}

fn missing(program: &str, err: &io::Error) -> ! {
    let package = match program {
        "nginx" => "nginx",
        "ffmpeg" | "ffprobe" => "ffmpeg",
        "mpv" => "mpv",
        "cvlc" => "vlc-bin and vlc-plugin-base",
        _ => program,
    };
    panic!("cannot run {program}: {err}; install the package {package}, or let tests/run do it")
}
