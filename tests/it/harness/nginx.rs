//! nginx with the shipped files in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Options;
use super::command::program;
use super::daemon::free_port;
use super::process::{Process, output};

/// A running nginx.
pub struct Nginx {
    /// The port on loopback where players reach it.
    pub port: u16,
    /// A Unix socket where tests can send what no client library would.
    pub socket: PathBuf,
    process: Option<Process>,
}

impl Nginx {
    /// Starts nginx in the foreground; its logs are `access.log` and `error.log` in `folder`.
    pub fn start(folder: &Path, hlsgate_config: &Path, options: &Options) -> Nginx {
        let etc = folder.join("nginx");
        write_shipped_files(&etc, folder, hlsgate_config);
        let socket = folder.join("nginx.sock");
        let port = free_port();
        let config = etc.join("nginx.conf");
        std::fs::write(&config, configuration(folder, &socket, port, options)).expect("write nginx.conf");
        output_of_test(&config, folder);
        let mut command = Command::new("nginx");
        command.args(["-g", "daemon off;", "-p"]).arg(folder).arg("-c").arg(&config);
        let mut process = Process::start(&mut command, &folder.join("error.log"));
        // Its process id is written once every socket listens; one socket that accepts says nothing of the others. `nginx -t` has
        // left an empty file.
        let written = || std::fs::metadata(folder.join("nginx.pid")).is_ok_and(|file| file.len() > 0);
        let began = std::time::Instant::now();
        while !written() {
            let log = || std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            assert!(process.ended().is_none(), "nginx does not start: {}", log());
            assert!(began.elapsed() < super::DEADLINE, "nginx does not listen: {}", log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Nginx { port, socket, process: Some(process) }
    }

    /// Stops it; its logs are complete afterwards.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM");
            let began = std::time::Instant::now();
            while process.ended().is_none() && began.elapsed() < super::DEADLINE {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

/// The shipped files as `hlsgate nginx` prints them for this socket, with the places that need root put into `folder`.
pub fn write_shipped_files(etc: &Path, folder: &Path, hlsgate_config: &Path) {
    let (etc_text, config) = (etc.to_str().expect("a plain path"), hlsgate_config.to_str().expect("a plain path"));
    output(program(), &["nginx", "--config", config, "--write", etc_text]);
    for part in ["conf.d", "snippets"] {
        for entry in std::fs::read_dir(etc.join(part)).expect("the written files") {
            let file = entry.expect("a file").path();
            let text = std::fs::read_to_string(&file).expect("the file");
            let text = text
                .replace("/var/log/nginx/access.log", &folder.join("access.log").display().to_string())
                .replace("/run/hlsgate-nginx-cache", &folder.join("cache").display().to_string());
            std::fs::write(&file, text).expect("write it again");
        }
    }
}

/// The shape of Debian's own `nginx.conf`, with one vhost.
fn configuration(folder: &Path, socket: &Path, port: u16, options: &Options) -> String {
    let at = folder.display().to_string();
    let vhost = options
        .vhost
        .replace("{root}", &format!("{at}/www"))
        .replace("{hls}", &format!("{at}/www/hls"))
        .replace("{folder}", &at);
    format!(
        "{user}{main}
worker_processes 2;
pid {at}/nginx.pid;
error_log {at}/error.log info;
events {{ worker_connections 2048; }}
http {{
    default_type application/octet-stream;
    types {{
        text/html html;
        application/vnd.apple.mpegurl m3u8;
        video/mp2t ts;
        video/mp4 mp4 m4s;
    }}
    client_body_temp_path {at}/tmp-body; proxy_temp_path {at}/tmp-proxy; fastcgi_temp_path {at}/tmp-fastcgi;
    uwsgi_temp_path {at}/tmp-uwsgi; scgi_temp_path {at}/tmp-scgi;
    include conf.d/*.conf;
    access_log {at}/access.log hlsgate;
    {http}
    server {{
        listen 127.0.0.1:{port};
        listen unix:{socket};
        server_name site.test localhost 127.0.0.1;
        {vhost}
    }}
}}
",
        user = if nix::unistd::Uid::effective().is_root() { "user www-data;\n" } else { "" },
        main = options.main,
        http = options.http.replace("{folder}", &at),
        socket = socket.display(),
    )
}

/// `nginx -t`, whose complaint is worth more than a process that ended.
fn output_of_test(config: &Path, folder: &Path) {
    let (config, folder) = (config.to_str().expect("a plain path"), folder.to_str().expect("a plain path"));
    output("nginx", &["-t", "-q", "-p", folder, "-c", config]);
}
