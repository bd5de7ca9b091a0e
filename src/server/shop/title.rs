//! What a film is called: by the configuration, or by the list that the site's pages show.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use tracing::warn;

use crate::gate::scope::{Scope, VideoId};
use crate::live::Live;

/// Largest list that is read: some ten thousand films.
const MAX_LIST: u64 = 8 << 20;

#[derive(Deserialize)]
struct List {
    videos: Vec<Film>,
}

#[derive(Deserialize)]
struct Film {
    id: String,
    #[serde(default)]
    title: String,
}

/// The title of what is sold: of the pass, else of the video that the buyer looks at. Its id where nobody gave it one.
pub(crate) async fn of(live: &Live, video: &VideoId, covers: &Scope) -> String {
    let titles = &live.config.videos.titles;
    if let Some(title) = titles.get(&covers.to_string()) {
        return title.clone();
    }
    if !matches!(covers, Scope::Video(_)) {
        return covers.to_string().trim_start_matches("pass:").to_owned();
    }
    let listed = match live.config.videos.catalogue.clone() {
        Some(file) => {
            let id = video.to_string();
            // A disk that is slow to wake must not hold up other viewers.
            tokio::task::spawn_blocking(move || listed(&file, &id)).await.ok().flatten()
        }
        None => None,
    };
    listed.unwrap_or_else(|| video.to_string())
}

fn listed(file: &Path, id: &str) -> Option<String> {
    let read = || -> std::io::Result<List> {
        let mut text = Vec::new();
        std::fs::File::open(file)?.take(MAX_LIST).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    };
    let list = read()
        .inspect_err(|err| warn!("videos.catalogue: {}: {err}; invoices name films by their ids", file.display()))
        .ok()?;
    list.videos.into_iter().find(|film| film.id == id).map(|film| film.title).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_comes_from_the_sites_list() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("videos.json");
        assert_eq!(listed(&file, "a"), None);
        std::fs::write(
            &file,
            r#"{"videos":[{"id":"b","title":""},{"id":"a","title":"The clock","poster":"/p"}],"more":1}"#,
        )
        .unwrap();
        assert_eq!(listed(&file, "a").as_deref(), Some("The clock"));
        assert_eq!((listed(&file, "b"), listed(&file, "c")), (None, None));
        std::fs::write(&file, "{").unwrap();
        assert_eq!(listed(&file, "a"), None);
    }
}
