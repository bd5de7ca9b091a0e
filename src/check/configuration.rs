//! The configuration's own files: readable, well formed, closed to strangers.

use std::path::Path;

use super::report::{Level, Report};
use crate::config::files::{keyring, revocations, secrets, too_open};
use crate::config::{Config, Problems};

const GROUP: &str = "configuration";

/// Looks at the values, the keys and the revocations.
pub(super) fn look(config: &Config, report: &mut Report) {
    report.ok(GROUP, "file", format!("{} is well formed", config.file.display()));
    let mut problems = Problems::default();
    if let Some(keyring) = keyring(config, &mut problems) {
        let verifying = keyring.iter().filter(|key| !key.retired()).count();
        report.ok(GROUP, "keys", format!("{} signs, {verifying} in all verify tokens", keyring.signing().kid()));
    }
    if let Some(revocations) = revocations(config, &mut problems) {
        report.ok(GROUP, "revocations", format!("{} in {}", revocations.len(), config.revocations_file.display()));
    }
    for problem in problems.iter() {
        match problem.denied {
            true => report.note(
                GROUP,
                Level::Unknown,
                problem.field.as_str(),
                problem.text.as_str(),
                "a user who may read it",
                "run this as root, or as the daemon's user",
            ),
            false => report.note(GROUP, Level::Wrong, problem.field.as_str(), problem.text.as_str(), "", ""),
        }
    }
    for file in secrets(config) {
        mode(&file, report);
    }
    let catalogue = &config.catalogue;
    let offered = catalogue.videos.values().flatten().chain([&catalogue.general]).chain(catalogue.pass_offers.values());
    if config.btcpay.is_some() && offered.clone().all(|offers| offers.is_empty()) {
        report.note(
            GROUP,
            Level::Wrong,
            "offers",
            "[btcpay] is there, and nothing is offered: every video answers with no offers",
            "at least one [[offers]], or offers of a video or a pass",
            "write what is sold, and at what price: see docs/shop.md",
        );
    }
    if let Some(folder) = config.videos.folder.as_ref().filter(|folder| !folder.is_dir()) {
        let todo = "make it, or correct videos.folder";
        report.note(
            GROUP,
            Level::Wrong,
            "videos.folder",
            format!("{} is no folder", folder.display()),
            "the folder that holds a folder per video",
            todo,
        );
    }
}

fn mode(file: &Path, report: &mut Report) {
    match too_open(file) {
        None => report.ok(GROUP, "file mode", format!("{} is closed to strangers", file.display())),
        Some(open) => report.note(
            GROUP,
            Level::Wrong,
            "file mode",
            open.seen,
            "no access for others, and no writing group",
            open.remedy,
        ),
    }
}
