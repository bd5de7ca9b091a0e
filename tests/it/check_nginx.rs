//! `hlsgate check` and nginx's configuration: the shipped files give no finding, and a vhost that is broken in one way gives
//! exactly the finding of that way. Each text is printed by the real nginx.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::command::{Desk, Outcome, run};
use crate::harness::{nginx, process};

/// The two lines of the README.
const SHIPPED: &str = "include snippets/hlsgate.conf;
    root {root};
    location / { }
    location ^~ /hls/ { include snippets/hlsgate-protect.conf; }";

/// A place where nginx is installed, and never serves.
pub struct Site {
    pub desk: Desk,
}

impl Site {
    pub fn new(config: &str) -> Site {
        let desk = Desk::new(config);
        for folder in ["www/hls/VIDEO", "other", "etc"] {
            std::fs::create_dir_all(desk.file(folder)).unwrap();
        }
        nginx::write_shipped_files(&desk.file("etc"), desk.folder(), &desk.file("hlsgate.toml"));
        Site { desk }
    }

    /// Writes `nginx.conf` with one server of this body, and more at the http level.
    pub fn write(&self, vhost: &str, http: &str) {
        let at = self.desk.folder().display().to_string();
        let at = at.trim_end_matches('/');
        let text = format!(
            "pid {at}/nginx.pid;
error_log {at}/error.log;
events {{ }}
http {{
    client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3; uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
    include conf.d/*.conf;
    access_log {at}/access.log;
    {http}
    server {{
        listen 127.0.0.1:8999;
        server_name video.test;
        {vhost}
    }}
}}
"
        );
        let text = text.replace("{root}", &format!("{at}/www")).replace("{at}", at);
        std::fs::write(self.desk.file("etc/nginx.conf"), text).unwrap();
    }

    /// What the real nginx prints of it, in a file. There it listens to everybody, as a site does.
    pub fn dump(&self) -> PathBuf {
        let config = self.desk.file("etc/nginx.conf");
        let text = process::output(
            "nginx",
            &["-T", "-q", "-p", self.desk.folder().to_str().unwrap(), "-c", config.to_str().unwrap()],
        );
        let file = self.desk.file("nginx.txt");
        std::fs::write(&file, text.replace("listen 127.0.0.1:8999", "listen 80")).unwrap();
        file
    }

    /// Puts a program named nginx before the real one.
    fn fake_nginx(&self, script: &str) -> String {
        let folder = self.desk.file("bin");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("script"), format!("#!/bin/sh\n{script}\n")).unwrap();
        process::install(&folder.join("script"), &folder.join("nginx"));
        format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
    }

    /// `check --only nginx` with nginx run by the command itself, from this path.
    fn check_by_itself(&self, path: &str, more: &[&str]) -> Outcome {
        let mut command: Command = self.desk.command(&["check", "--only", "nginx"]);
        run(command.args(more).env("PATH", path), "").without(self.desk.folder())
    }
}

/// Findings that are not fine, each as `level what: seen`, and the exit code.
pub fn findings(outcome: &Outcome) -> (i32, Vec<String>) {
    let report: Value = serde_json::from_str(&outcome.out).unwrap_or_else(|err| panic!("{err}: {outcome:?}"));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let bad = report["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] != "ok");
    let lines: Vec<String> = bad
        .map(|f| {
            assert_ne!(text(f, "expected"), "", "{f}: says what was expected");
            assert_ne!(text(f, "todo"), "", "{f}: says what to do");
            format!("{} {}: {}", text(f, "level"), text(f, "what"), text(f, "seen"))
        })
        .collect();
    assert_eq!(report["clean"], lines.iter().all(|line| line.starts_with("warning ")), "{lines:?}");
    (outcome.code, lines)
}

/// What `check` finds in such a vhost.
pub fn look(site: &Site, vhost: &str, http: &str) -> (i32, Vec<String>) {
    site.write(vhost, http);
    let dump = site.dump();
    findings(&site.desk.run(&["check", "--json", "--only", "nginx", "--nginx-config", dump.to_str().unwrap()]))
}

/// A vhost that is broken in one way: name, body of the server, more of the http level, and the findings, each as the level,
/// the name and a part of what was seen.
type Broken = (&'static str, String, &'static str, &'static [&'static str]);

#[test]
fn the_shipped_files_give_no_finding() {
    let site = Site::new("");
    for (name, vhost, http) in [
        ("two lines", SHIPPED, ""),
        (
            "alias and every opt-in",
            "include snippets/hlsgate.conf; include snippets/hlsgate-discovery.conf; set $hlsgate_cors_origins *;
             location ^~ /hls/ { alias {root}/hls/; include snippets/hlsgate-protect.conf; include snippets/hlsgate-cors.conf;
               include snippets/hlsgate-cache.conf; include snippets/hlsgate-l402.conf; }",
            "",
        ),
        (
            "several sites, one that redirects, and rewrites in their places",
            "include snippets/hlsgate.conf; root {root}; if ($uri ~ ^/(hls|hlsgate)/) { break; }
             if (!-e $request_filename) { rewrite ^ /index.html last; }
             location ^~ /hls/ { include snippets/hlsgate-protect.conf; }
             location ~ \\.php$ { return 404; } location ~ \\.(ts|m3u8)$ { expires 1d; root {at}/other; }",
            "server { listen 127.0.0.1:8999; server_name video2.test; include snippets/hlsgate.conf; root {root};
               location ^~ /hls/ { include snippets/hlsgate-protect.conf; expires 1h; } }
             server { listen 127.0.0.1:8999; server_name old.test; return 301 https://video.test$request_uri; }
             server { listen 127.0.0.1:8999; server_name blog.test; root {at}/other; }",
        ),
        (
            "a regular expression with a named capture",
            "include snippets/hlsgate.conf; location ~ ^/hls/(?<file>.*)$ { alias {root}/hls/$file; include snippets/hlsgate-protect.conf; }",
            "",
        ),
        (
            "a location that was there already",
            "include snippets/hlsgate.conf; location ^~ /hls/ { alias {root}/hls/; include snippets/hlsgate-protect.conf; limit_rate $rate;
               add_header Strict-Transport-Security \"max-age=63072000\"; error_page 404 /hls/placeholder/none.m3u8; }",
            "map $hlsgate_tier $rate { default 0; preview 500k; }",
        ),
        (
            "named locations for an application, for what is missing, for bad days",
            "include snippets/hlsgate.conf; root {root};
             location / { try_files $uri @application; }
             location ^~ /hls/ { include snippets/hlsgate-protect.conf; error_page 404 = @missing; error_page 500 @away;
               error_page 413 @away; error_page 416 @moved; error_page 401 403 @missing; }
             location @application { proxy_pass http://127.0.0.1:8998; } location @missing { }
             location @away { rewrite ^(.*)$ /away.html break; } location @moved { rewrite ^ https://video.test$uri redirect; }",
            "",
        ),
        (
            "a nested location with the include",
            "include snippets/hlsgate.conf; root {root};
             location ^~ /hls/ { include snippets/hlsgate-protect.conf;
               location ~ \\.m3u8$ { include snippets/hlsgate-protect.conf; gzip on; } }",
            "set_real_ip_from 192.0.2.0/24; real_ip_header CF-Connecting-IP;",
        ),
    ] {
        assert_eq!(look(&site, vhost, http), (0, vec![]), "{name}");
    }
}

#[test]
fn a_vhost_that_is_broken_in_one_way_gives_just_that_finding() {
    // Each name is what somebody did; each body is a vhost that works in his browser.
    let protected = "location ^~ /hls/ { include snippets/hlsgate-protect.conf; }";
    let plain = |more: &str| format!("include snippets/hlsgate.conf; root {{root}}; {protected} {more}");
    let inside = |more: &str| {
        format!(
            "include snippets/hlsgate.conf; root {{root}}; location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; {more} }}"
        )
    };
    let cases: Vec<Broken> = vec![
        ("nothing is included", "root {root};".into(), "", &["wrong protection: no server block includes"]),
        (
            "the server's snippet alone",
            "include snippets/hlsgate.conf; root {root};".into(),
            "",
            &["wrong protection: server video.test (DIR/etc/nginx.conf:9) includes snippets/hlsgate.conf, which alone protects nothing"],
        ),
        (
            "the location's snippet alone",
            format!("root {{root}}; {protected}"),
            "",
            &["wrong server snippet: server video.test (DIR/etc/nginx.conf:9) protects locations and does not include"],
        ),
        (
            "the location's snippet at the server's level",
            "include snippets/hlsgate.conf; root {root}; include snippets/hlsgate-protect.conf; location / { }".into(),
            "",
            &["wrong media path: a request for /hls/VIDEO/master.m3u8 ends in location / (DIR/etc/nginx.conf:12), which asks without saying for which video"],
        ),
        (
            "an opt-in above the snippet that it belongs below",
            "include snippets/hlsgate.conf; root {root}; location ^~ /hls/ { include snippets/hlsgate-cache.conf; include snippets/hlsgate-protect.conf; }".into(),
            "",
            &["warning opt-in: snippets/hlsgate-cache.conf ("],
        ),
        (
            "a rewrite above the include",
            format!("if (!-e $request_filename) {{ rewrite ^ /index.html last; }} {}", plain("")),
            "",
            &["wrong server snippet: `if (!-e $request_filename)` (DIR/etc/nginx.conf:12) stands above the include"],
        ),
        (
            "a return above the include",
            format!("if ($host = a.test) {{ return 301 https://b.test$request_uri; }} {}", plain("")),
            "",
            &["wrong server snippet: `if ($host = a.test)`"],
        ),
        (
            "the question is switched off for segments",
            inside("location ~ \\.ts$ { auth_request off; }"),
            "",
            &["wrong media path: a request for /hls/VIDEO/seg0.ts ends in location ~ \\.ts$", "wrong auth_request off: location ~ \\.ts$"],
        ),
        (
            "an internal location below the media path",
            plain("location ^~ /hls/internal/ { internal; alias {at}/other/; }"),
            "",
            &["wrong internal location: location ^~ /hls/internal/"],
        ),
        (
            "a rewrite at the server level into an internal location",
            format!("{} location /raw/ {{ internal; alias {{root}}/hls/; }}", plain("rewrite ^/films/(.*)$ /raw/$1 last;")),
            "",
            &["wrong another way: `rewrite ^/films/(.*)$ /raw/$1 last` (DIR/etc/nginx.conf:12) leads into location /raw/"],
        ),
        (
            "an error page in an internal location",
            plain("location /free/ { error_page 404 = /raw/VIDEO/seg0.ts; } location /raw/ { internal; alias {root}/hls/; }"),
            "",
            &["wrong another way: `error_page 404 = /raw/VIDEO/seg0.ts`"],
        ),
        (
            "a named location with the protected folder as its root",
            plain("location / { try_files $uri @films; } location @films { root {root}/hls; }"),
            "",
            &["wrong another way: /VIDEO/master.m3u8 comes by `try_files $uri @films` (DIR/etc/nginx.conf:12) into location @films"],
        ),
        (
            "an error page that serves what was refused",
            "include snippets/hlsgate.conf; root {root}; location @sorry { }
             location ^~ /hls/ { error_page 401 @sorry; include snippets/hlsgate-protect.conf; }".into(),
            "",
            &["wrong another way: /hls/VIDEO/master.m3u8 comes by `error_page 401 @sorry` (DIR/etc/nginx.conf:13) into location @sorry (DIR/etc/nginx.conf:12), which serves files from DIR/www/hls"],
        ),
        (
            "an error page that serves everything while the daemon is away",
            inside("error_page 404 500 = @away;") + " location @away { rewrite \\.html$ /away.html break; try_files $uri =503; }",
            "",
            &["wrong another way: /hls/VIDEO/master.m3u8 comes by `error_page 404 500 = @away`"],
        ),
        (
            "a redirect in the protected location",
            inside("return 302 https://cdn.test$uri;"),
            "",
            &["wrong return: `return 302 https://cdn.test$uri`"],
        ),
        (
            "a rewrite out of the protected location",
            inside("rewrite ^/hls/(.*)$ /open/$1 last;"),
            "",
            &["wrong rewrite: `rewrite ^/hls/(.*)$ /open/$1 last`"],
        ),
        (
            "an alias without its slash",
            "include snippets/hlsgate.conf; location ^~ /hls/ { alias {root}/hls; include snippets/hlsgate-protect.conf; }".into(),
            "",
            &["wrong alias: location ^~ /hls/ (DIR/etc/nginx.conf:12) has `alias DIR/www/hls`"],
        ),
        (
            "a location without its slash",
            "include snippets/hlsgate.conf; location ^~ /hls { alias {root}/hls/; include snippets/hlsgate-protect.conf; }".into(),
            "",
            &["wrong alias: location ^~ /hls (DIR/etc/nginx.conf:12) has `alias DIR/www/hls/`"],
        ),
        (
            "no ^~, and an expression that wins",
            "include snippets/hlsgate.conf; root {root}; location /hls/ { include snippets/hlsgate-protect.conf; }
             location ~* \\.(ts|m4s)$ { expires 1d; }".into(),
            "",
            &["wrong media path: a request for /hls/VIDEO/seg0.ts ends in location ~* \\.(ts|m4s)$ (DIR/etc/nginx.conf:13), which asks nobody"],
        ),
        (
            "no ^~, and nothing that wins yet",
            "include snippets/hlsgate.conf; root {root}; location /hls/ { include snippets/hlsgate-protect.conf; }".into(),
            "",
            &["warning media path: location /hls/ (DIR/etc/nginx.conf:12) lacks ^~"],
        ),
        (
            "the same folder by an alias",
            plain("location /raw/ { alias {root}/hls/; }"),
            "",
            &["wrong another way: /raw/VIDEO/master.m3u8 of server video.test (DIR/etc/nginx.conf:9) is answered by location /raw/"],
        ),
        (
            "the same folder by an alias in an expression",
            plain("location ~ ^/raw/(.*)$ { alias {root}/hls/$1; }"),
            "",
            &["wrong another way: location ~ ^/raw/(.*)$ (DIR/etc/nginx.conf:12) serves files from DIR/www/hls"],
        ),
        (
            "one film of the folder by an alias",
            plain("location /trailer/ { alias {root}/hls/VIDEO/; }"),
            "",
            &["wrong another way: /trailer/master.m3u8 of server video.test"],
        ),
        (
            "the same folder as the root of a location",
            plain("location /VIDEO/ { root {root}/hls; }"),
            "",
            &["wrong another way: /VIDEO/master.m3u8 of server video.test"],
        ),
        (
            "the same folder behind a link",
            plain("location /l/ { alias {at}/link/; }"),
            "",
            &["wrong another way: /l/VIDEO/master.m3u8 of server video.test"],
        ),
        (
            "a link in a folder that is open",
            "include snippets/hlsgate.conf; root {at}/other; location ^~ /hls/ { root {root}; include snippets/hlsgate-protect.conf; }".into(),
            "",
            &["wrong another way: /films/VIDEO/master.m3u8 of server video.test (DIR/etc/nginx.conf:9) is answered by the server's own root DIR/other"],
        ),
        (
            "the folder above it as another location",
            plain("location /all/ { alias {at}/; }"),
            "",
            &["wrong another way: /all/www/hls/VIDEO/master.m3u8 of server video.test"],
        ),
        (
            "a second server with the same root",
            plain(""),
            "server { listen 127.0.0.1:8999; server_name old.test; root {root}; }",
            &["wrong another way: /hls/VIDEO/master.m3u8 of server old.test"],
        ),
        (
            "a second server with the same root, where only the old name is redirected",
            plain(""),
            "server { listen 127.0.0.1:8999; server_name old.test www.test; root {root};
               if ($host = old.test) { return 301 https://video.test$request_uri; } }",
            &["wrong another way: /hls/VIDEO/master.m3u8 of server old.test"],
        ),
        (
            "try_files of another location serves protected files",
            plain("location / { try_files $uri /hls$uri =404; }"),
            "",
            &["wrong try_files: `try_files $uri /hls$uri =404` (DIR/etc/nginx.conf:12): /hls$uri is served"],
        ),
        (
            "try_files of the protected location",
            inside("try_files $uri /hls/OTHER/seg0.ts =404;"),
            "",
            &["wrong try_files: `try_files $uri /hls/OTHER/seg0.ts =404`"],
        ),
        ("satisfy any", inside("satisfy any; allow 127.0.0.1; deny all;"), "", &["wrong satisfy: "]),
        ("satisfy any for the whole server", plain("satisfy any; auth_basic x; auth_basic_user_file {at}/users;"), "", &["wrong satisfy: "]),
        ("a refusal shown as a page", inside("error_page 404 =200 /hls/VIDEO/none.m3u8;"), "", &["warning error_page: "]),
        (
            "a nested location without the include",
            inside("location ~ \\.m3u8$ { gzip on; }"),
            "",
            &["warning nested location: location ~ \\.m3u8$"],
        ),
        (
            "free files below the media path",
            plain("location ^~ /hls/previews/ { alias {at}/other/; }"),
            "",
            &["warning free files: location ^~ /hls/previews/"],
        ),
        ("slashes are kept apart", plain("merge_slashes off;"), "", &["wrong merge_slashes: "]),
        ("server-side includes", plain("location /pages/ { ssi on; }"), "", &["wrong ssi: `ssi on` (DIR/etc/nginx.conf:12)"]),
        ("a mirror", plain("location /m/ { mirror /hls/VIDEO/seg0.ts; }"), "", &["wrong mirror: "]),
        (
            "a cache in front that keeps what is private",
            plain(""),
            "server { listen 127.0.0.1:8999; server_name cdn.test; location / { proxy_pass http://127.0.0.1:8999; proxy_cache hlsgate;
               proxy_ignore_headers Cache-Control Set-Cookie; proxy_cache_valid 200 1h; } }",
            &["wrong proxy_cache: location / (DIR/etc/nginx.conf:8) keeps answers that say `private`, by a key without $http_cookie"],
        ),
        ("everybody's forwarded address is believed", plain(""), "set_real_ip_from 0.0.0.0/0;", &["wrong viewer's address: "]),
        (
            "the usual access log in the protected location",
            inside("access_log {at}/a.log;"),
            "",
            &["wrong access log: `access_log DIR/a.log` (DIR/etc/nginx.conf:12) writes $request, and with it the tokens"],
        ),
        (
            "a format of one's own that shows the referer",
            inside("access_log {at}/a.log mine;"),
            "log_format mine '$remote_addr $status ${http_referer}';",
            &["wrong access log: `access_log DIR/a.log mine` (DIR/etc/nginx.conf:12) writes $http_referer"],
        ),
        ("the usual access log of the server", plain("access_log {at}/a.log combined;"), "", &["warning access log: "]),
        ("an error log for debugging", plain("error_log {at}/e.log debug;"), "", &["warning error log: "]),
    ];
    let mut wrong = Vec::new();
    for (name, vhost, http, expected) in &cases {
        let site = Site::new("");
        std::os::unix::fs::symlink(site.desk.file("www/hls"), site.desk.file("link")).unwrap();
        // The one folder that only this vhost opens.
        if *name == "a link in a folder that is open" {
            std::os::unix::fs::symlink(site.desk.file("www/hls"), site.desk.file("other/films")).unwrap();
        }
        std::fs::write(site.desk.file("users"), "").unwrap();
        let (code, found) = look(&site, vhost, http);
        let wanted = i32::from(expected.iter().any(|finding| finding.starts_with("wrong")));
        let fits =
            found.len() == expected.len() && expected.iter().zip(&found).all(|(part, found)| found.starts_with(part));
        if !fits || code != wanted {
            wrong.push(format!(
                "{name}: exit {code}, expected {wanted}\n  found    {found:#?}\n  expected {expected:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The shipped files in a state that somebody left them in: what is changed, and what is found.
#[test]
fn a_shipped_file_that_was_changed_is_told_by_what_it_changes() {
    let edited: &[(&str, &str, &str, &[&str])] = &[
        // What is the operator's own.
        ("conf.d/hlsgate.conf", "rate=12r/m", "rate=60r/m", &[]),
        ("snippets/hlsgate.conf", "burst=10 nodelay", "burst=100", &[]),
        ("conf.d/hlsgate.conf", "# hlsgate, http level", "# changed", &[]),
        // What makes it another gate.
        (
            "snippets/hlsgate.conf",
            "\\n$http_cookie\";",
            "\";",
            &[
                "wrong snippets/hlsgate.conf: ",
                "wrong question to the daemon: location = /hlsgate-auth (DIR/etc/snippets/hlsgate.conf:17) caches decisions by a proxy_cache_key without $http_cookie",
            ],
        ),
        (
            "snippets/hlsgate.conf",
            "proxy_cache_use_stale off",
            "proxy_cache_use_stale error timeout",
            &[
                "wrong snippets/hlsgate.conf: ",
                "wrong question to the daemon: location = /hlsgate-auth (DIR/etc/snippets/hlsgate.conf:17) has proxy_cache_use_stale",
            ],
        ),
        (
            "snippets/hlsgate.conf",
            "    proxy_pass_request_headers off;\n    proxy_set_header Host hlsgate;\n    proxy_set_header Content-Length \"\";",
            "    proxy_set_header Host hlsgate;\n    proxy_set_header Content-Length \"\";",
            &[
                "wrong snippets/hlsgate.conf: DIR/etc/snippets/hlsgate.conf lacks `location = /hlsgate-auth › proxy_pass_request_headers off`",
                "wrong question to the daemon: ",
            ],
        ),
        (
            "snippets/hlsgate.conf",
            "    internal;\n",
            "",
            &[
                "wrong snippets/hlsgate.conf: DIR/etc/snippets/hlsgate.conf lacks `location = /hlsgate-auth › internal`",
                "wrong question to the daemon: ",
            ],
        ),
        (
            "snippets/hlsgate.conf",
            "if ($uri = /hlsgate-auth) { break; }",
            "",
            &["wrong snippets/hlsgate.conf: ", "wrong server snippet: "],
        ),
        (
            "conf.d/hlsgate.conf",
            "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
            ".+",
            &[
                "wrong conf.d/hlsgate.conf: DIR/etc/conf.d/hlsgate.conf lacks `map $hlsgate_path $hlsgate_video › ~^/hls/",
            ],
        ),
        (
            "snippets/hlsgate-protect.conf",
            "set $hlsgate_query $args;\n",
            "",
            &[
                "wrong snippets/hlsgate-protect.conf: DIR/etc/snippets/hlsgate-protect.conf lacks `set $hlsgate_query $args`",
            ],
        ),
        // An older one, or one with an addition that harms nothing.
        (
            "snippets/hlsgate-protect.conf",
            "add_header Set-Cookie $hlsgate_set_cookie;",
            "add_header Set-Cookie $hlsgate_set_cookie; add_header X-A b;",
            &[
                "warning snippets/hlsgate-protect.conf: DIR/etc/snippets/hlsgate-protect.conf has `add_header X-A b`, which this version does not print",
            ],
        ),
    ];
    for (name, from, to, expected) in edited {
        let site = Site::new("");
        let file = site.desk.file("etc").join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let (code, found) = look(&site, SHIPPED, "");
        let fits =
            found.len() == expected.len() && expected.iter().zip(&found).all(|(part, found)| found.starts_with(part));
        assert!(fits, "{name}: {from}\n{found:#?}\n{expected:#?}");
        assert_eq!(code, i32::from(found.iter().any(|finding| finding.starts_with("wrong"))));
    }
}

/// Files printed for another media path than the configuration has now.
#[test]
fn files_of_another_media_path_are_found() {
    let site = Site::new("");
    std::fs::write(
        site.desk.file("hlsgate.toml"),
        site.desk.read("hlsgate.toml").replacen("listen", "media = \"/films/{video}/\"\nlisten", 1),
    )
    .unwrap();
    let (code, found) = look(&site, SHIPPED, "");
    assert_eq!(code, 1);
    assert!(found.iter().any(|finding| finding.starts_with("wrong conf.d/hlsgate.conf: ")), "{found:#?}");
    assert!(
        found.iter().any(|finding| finding.contains("a request for /films/VIDEO/master.m3u8 ends in")),
        "{found:#?}"
    );
}

#[test]
fn nginx_behind_another_proxy_needs_the_viewers_address() {
    let site = Site::new("");
    let check = |http: &str| {
        site.write(SHIPPED, http);
        let dump = site.dump();
        let text = std::fs::read_to_string(&dump).unwrap().replace("listen 80", "listen 127.0.0.1:8080");
        std::fs::write(&dump, text).unwrap();
        findings(&site.desk.run(&["check", "--json", "--only", "nginx", "--nginx-config", dump.to_str().unwrap()]))
    };
    let (code, found) = check("");
    assert_eq!((code, found.len()), (0, 1), "{found:#?}");
    assert!(
        found[0].starts_with(
            "warning viewer's address: server video.test (DIR/etc/nginx.conf:9) is reached through another proxy only"
        ),
        "{found:#?}"
    );
    assert_eq!(check("set_real_ip_from 192.0.2.1; real_ip_header X-Forwarded-For;"), (0, vec![]));
}

#[test]
fn what_cannot_be_read_is_told_and_is_exit_2() {
    let site = Site::new("");
    site.write(SHIPPED, "");
    let good = std::fs::read_to_string(site.dump()).unwrap();
    let cut = good.find("# configuration file DIR").unwrap_or(good.len());
    let without_snippets = good.replace("snippets/hlsgate.conf:", "snippets/elsewhere.conf:");
    let huge = format!("{good}# {}\n", "x".repeat(64 << 20));
    for (text, expected) in [
        ("", "unknown configuration: the text is no output of `nginx -T`: no line says \"# configuration file …:\""),
        ("server { }", "unknown configuration: the text is no output of `nginx -T`"),
        (&good[..cut - 3], "unknown configuration: cannot be read: "),
        (
            &*without_snippets,
            "unknown configuration: DIR/etc/nginx.conf:12 includes snippets/hlsgate.conf, which is not part of the text",
        ),
        (&*huge, "unknown configuration: - is larger than 64 MiB"),
    ] {
        let outcome = site.desk.run_with(&["check", "--json", "--only", "nginx", "--nginx-config", "-"], text);
        let (code, found) = findings(&outcome);
        assert!(
            code == 2 && found.len() == 1 && found[0].starts_with(expected),
            "{code} {found:#?}, expected {expected}"
        );
    }
    let (code, found) = findings(&site.desk.run(&["check", "--json", "--only", "nginx", "--nginx-config", "/no/such"]));
    assert_eq!(
        (code, found),
        (2, vec!["unknown configuration: cannot read /no/such: No such file or directory (os error 2)".into()])
    );
    // Bytes that are no UTF-8, in a comment.
    let mut odd = good.clone().into_bytes();
    odd.extend(b"# caf\xe9\n");
    std::fs::write(site.desk.file("nginx.txt"), odd).unwrap();
    let outcome = site.desk.run(&[
        "check",
        "--json",
        "--only",
        "nginx",
        "--nginx-config",
        site.desk.file("nginx.txt").to_str().unwrap(),
    ]);
    assert_eq!(findings(&outcome), (0, vec![]));
}

#[test]
fn nginx_is_run_by_the_command_itself_and_its_refusals_are_told() {
    let site = Site::new("");
    site.write(SHIPPED, "");
    site.dump();
    let (at, dump) = (site.desk.folder(), site.desk.file("nginx.txt"));
    let print = format!("cat {}", dump.display());
    let real = process::output("sh", &["-c", "nginx -V 2>&1"]);
    std::fs::write(site.desk.file("real"), &real).unwrap();
    let version = |file: &str| format!("[ \"$1\" = -V ] && {{ cat {}/{file} >&2; exit 0; }}", at.display());
    let clean = site.check_by_itself(&site.fake_nginx(&format!("{}; {print}", version("real"))), &["--json"]);
    assert_eq!(findings(&clean), (0, vec![]));

    std::fs::write(site.desk.file("poor"), real.replace("--with-http_auth_request_module", "")).unwrap();
    let poor = site.check_by_itself(&site.fake_nginx(&format!("{}; {print}", version("poor"))), &["--json"]);
    let (code, found) = findings(&poor);
    assert!(
        code == 1 && found.len() == 1 && found[0].contains("was built without http_auth_request_module"),
        "{found:#?}"
    );

    let stranger = "echo 'nginx: [alert] could not open error log file: open() \"/var/log/nginx/error.log\" failed (13: Permission denied)' >&2; exit 1";
    let text = site.check_by_itself(&site.fake_nginx(stranger), &[]);
    assert_eq!(
        (text.code, text.out.as_str()),
        (
            2,
            "nginx
  ? configuration: `nginx -T` fails: could not open error log file: open() \"/var/log/nginx/error.log\" failed (13: Permission denied)
      expected: the text of `nginx -T`
      to do: run `sudo hlsgate check`, or `sudo nginx -T | hlsgate check --nginx-config -`
0 fine, 0 to improve, 1 not looked at, 0 wrong
"
        )
    );
    // The real one, with a configuration that it does not take.
    site.write("no_such_directive on;", "");
    let real = format!("exec /usr/sbin/nginx -p {0} -c {0}/etc/nginx.conf \"$@\"", at.display());
    let (code, found) = findings(&site.check_by_itself(&site.fake_nginx(&real), &["--json"]));
    assert!(code == 1 && found.len() == 1, "{found:#?}");
    assert!(
        found[0].starts_with(
            "wrong configuration: `nginx -T` fails: unknown directive \"no_such_directive\" in DIR/etc/nginx.conf:12"
        ),
        "{found:#?}"
    );

    let nowhere = site.check_by_itself("/nonexistent", &["--json"]);
    // The usual places are looked at as well, and this machine has one there.
    assert_ne!(nowhere.code, 78, "{nowhere:?}");
}
