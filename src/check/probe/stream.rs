//! What a stream consists of: the files that a playlist or manifest names, and one of every kind among them.

use std::collections::BTreeMap;

use regex::Regex;
use url::Url;

/// Files of one kind that are asked for: the first and the last that are named.
const OF_A_KIND: usize = 2;

/// A file that a playlist or manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Where it is.
    pub url: Url,
    /// What names it, for a person: `segment`, or the tag such as `EXT-X-KEY`.
    pub by: String,
    /// Whether it names further files itself.
    pub playlist: bool,
}

/// Every file that the text at `base` names, in its order. Nothing, where it is neither a playlist nor a manifest.
pub(crate) fn named_in(text: &str, base: &Url) -> Vec<Named> {
    let text = text.trim_start_matches('\u{feff}');
    if text.starts_with("#EXTM3U") {
        playlist(text, base)
    } else if text.contains("<MPD") {
        manifest(text, base)
    } else {
        Vec::new()
    }
}

/// HLS (RFC 8216): lines that are no tags, and the tags' attribute `URI`.
fn playlist(text: &str, base: &Url) -> Vec<Named> {
    let uri = Regex::new(r#"[:,]\s*URI="([^"]*)""#).expect("a pattern");
    let (mut found, mut variant) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        let Some(tag) = line.strip_prefix('#') else {
            if !line.is_empty() {
                let by = if variant { "EXT-X-STREAM-INF" } else { "segment" };
                found.extend(named(line, base, by, variant));
                variant = false;
            }
            continue;
        };
        let (name, _) = tag.split_once(':').unwrap_or((tag, ""));
        variant |= name == "EXT-X-STREAM-INF";
        let leads_on = matches!(name, "EXT-X-MEDIA" | "EXT-X-I-FRAME-STREAM-INF" | "EXT-X-RENDITION-REPORT");
        // Whatever else begins with a hash is a remark.
        let uris = uri.captures_iter(tag).filter(|_| name.starts_with("EXT"));
        found.extend(uris.filter_map(|uri| named(&uri[1], base, name, leads_on)));
    }
    found
}

/// DASH (ISO/IEC 23009-1), as far as text shows it: `BaseURL`, and the attributes that name files, their templates filled in for
/// each representation with its first number or time.
fn manifest(text: &str, base: &Url) -> Vec<Named> {
    let base_url = Regex::new(r"<BaseURL[^>]*>\s*([^<]+?)\s*</BaseURL>").expect("a pattern");
    let attribute = Regex::new(r#"\s(media|initialization|sourceURL|index)="([^"]+)""#).expect("a pattern");
    let template = Regex::new(r"\$(RepresentationID|Number|Time|Bandwidth|)(?:%0(\d+)d)?\$").expect("a pattern");
    let first = |name: &str| {
        let pattern = Regex::new(&format!(r#"\s{name}="(\d+)""#)).expect("a pattern");
        pattern.captures(text).and_then(|found| found[1].parse::<u64>().ok())
    };
    let representation = Regex::new(r"<Representation\b[^>]*>").expect("a pattern");
    let of_it = |tag: &str, name: &str| {
        let pattern = Regex::new(&format!(r#"\s{name}="([^"]*)""#)).expect("a pattern");
        pattern.captures(tag).map(|found| found[1].to_owned()).unwrap_or_default()
    };
    let representations: Vec<(String, String)> = representation
        .find_iter(text)
        .map(|tag| (of_it(tag.as_str(), "id"), of_it(tag.as_str(), "bandwidth")))
        .collect();

    let bases: Vec<Url> = base_url.captures_iter(text).filter_map(|found| resolved(&found[1], base)).collect();
    let mut found: Vec<Named> = bases
        .iter()
        .filter(|url| !url.path().ends_with('/'))
        .map(|url| Named { url: url.clone(), by: "BaseURL".into(), playlist: false })
        .collect();
    // Folders that BaseURL names stand before what the attributes name; without one it is the manifest's own.
    let folders: Vec<&Url> = bases.iter().filter(|url| url.path().ends_with('/')).collect();
    let folders = if folders.is_empty() { vec![base] } else { folders };
    for attribute in attribute.captures_iter(text) {
        for (id, bandwidth) in &representations {
            let filled = template.replace_all(&attribute[2], |part: &regex::Captures<'_>| {
                let width = part.get(2).and_then(|width| width.as_str().parse().ok()).unwrap_or(1);
                match &part[1] {
                    "RepresentationID" => id.clone(),
                    "Bandwidth" => bandwidth.clone(),
                    "Number" => format!("{:0width$}", first("startNumber").unwrap_or(1)),
                    "Time" => format!("{:0width$}", first("t").unwrap_or(0)),
                    _ => "$".into(),
                }
            });
            let filled = filled.replace("&amp;", "&");
            found.extend(folders.iter().filter_map(|folder| named(&filled, folder, &attribute[1], false)));
        }
    }
    found
}

fn named(reference: &str, base: &Url, by: &str, leads_on: bool) -> Option<Named> {
    let url = resolved(reference, base)?;
    let playlist = leads_on || is_playlist(&url);
    Some(Named { url, by: by.to_owned(), playlist })
}

fn resolved(reference: &str, base: &Url) -> Option<Url> {
    let mut url = base.join(reference).ok()?;
    url.set_fragment(None);
    // `data:` and `skd:` are no requests.
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// Whether the name is that of a playlist or manifest.
pub(crate) fn is_playlist(url: &Url) -> bool {
    matches!(extension(url).as_str(), "m3u8" | "m3u" | "mpd")
}

/// The file's extension in lower case, which locations of nginx go by.
pub(crate) fn extension(url: &Url) -> String {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

/// One of every kind: nginx finds a location by a path's folder and ending, so files that share both, and what names them, are alike.
/// Of each kind the first and the last one.
#[derive(Debug, Default)]
pub(crate) struct Kinds(BTreeMap<(String, String, String), Vec<Named>>);

impl Kinds {
    /// Notes a file.
    pub(crate) fn note(&mut self, named: &Named) {
        let place = named.url.as_str().rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let kind = (place, extension(&named.url), named.by.clone());
        let files = self.0.entry(kind).or_default();
        if files.iter().any(|file| file.url == named.url) {
            return;
        }
        files.truncate(OF_A_KIND - 1);
        files.push(named.clone());
    }

    /// All of them, each once.
    pub(crate) fn files(self) -> Vec<Named> {
        let mut files: Vec<Named> = Vec::new();
        for file in self.0.into_values().flatten() {
            if !files.iter().any(|known| known.url == file.url) {
                files.push(file);
            }
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let base = Url::parse("https://site.test/hls/vid1/master").unwrap();
        let show =
            |named: &Named| format!("{} {}{}", named.url.path(), named.by, if named.playlist { " +" } else { "" });
        named_in(text, &base).iter().map(show).collect()
    }

    #[test]
    fn every_file_that_a_playlist_names_is_found() {
        let text = "\u{feff}#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a\",URI=\"a/index\"\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"k.key\"\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\nv0/index.m3u8?x=1\n# a remark, URI=\"no\"\n\
            #EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"1@0\"\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\"\n#EXTINF:2,\r\nseg0.m4s\r\n\
            #EXT-X-PART:DURATION=1,URI=\"p0.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"/hls/vid1/p1.m4s#x\"\n\
            #EXT-X-RENDITION-REPORT:URI=\"../v1/live\"\n#EXTINF:2,\nhttps://cdn.test/a.ts\n";
        assert_eq!(
            names(text),
            [
                "/hls/vid1/a/index EXT-X-MEDIA +",
                "/hls/vid1/k.key EXT-X-SESSION-KEY",
                "/hls/vid1/i.m3u8 EXT-X-I-FRAME-STREAM-INF +",
                "/hls/vid1/v0/index.m3u8 EXT-X-STREAM-INF +",
                "/hls/vid1/init.mp4 EXT-X-MAP",
                "/hls/vid1/seg0.m4s segment",
                "/hls/vid1/p0.m4s EXT-X-PART",
                "/hls/vid1/p1.m4s EXT-X-PRELOAD-HINT",
                "/hls/v1/live EXT-X-RENDITION-REPORT +",
                "/a.ts segment",
            ]
        );
        assert_eq!(names("seg0.ts\n"), Vec::<String>::new(), "no playlist");
    }

    #[test]
    fn a_manifests_templates_are_filled_in() {
        let text = r#"<?xml version="1.0"?><MPD><Period><AdaptationSet>
            <SegmentTemplate startNumber="3" initialization="$RepresentationID$/init.mp4" media="$RepresentationID$/$Number%05d$.m4s?a=1&amp;b=2"/>
            <Representation id="v0" bandwidth="9"/><Representation id="v1" bandwidth="8"><BaseURL>dash/</BaseURL></Representation>
            </AdaptationSet><Representation id="t"><BaseURL> subs.vtt </BaseURL></Representation></Period></MPD>"#;
        let found = names(text);
        for expected in [
            "/hls/vid1/subs.vtt BaseURL",
            "/hls/vid1/dash/v0/init.mp4 initialization",
            "/hls/vid1/dash/v1/00003.m4s media",
        ] {
            assert!(found.iter().any(|name| name == expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn of_each_kind_the_first_and_the_last_are_asked_for() {
        let base = Url::parse("https://site.test/hls/vid1/v0/index.m3u8").unwrap();
        let text: String = (0..9).map(|number| format!("#EXTINF:2,\nseg{number}.ts\n")).collect();
        let mut kinds = Kinds::default();
        let playlist = format!("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"key.bin\"\n{text}#EXTINF:2,\n../v1/seg0.ts\n");
        named_in(&playlist, &base).iter().for_each(|named| kinds.note(named));
        let files: Vec<String> = kinds.files().iter().map(|file| file.url.path().to_owned()).collect();
        let mut expected =
            ["/hls/vid1/v0/key.bin", "/hls/vid1/v0/seg0.ts", "/hls/vid1/v0/seg8.ts", "/hls/vid1/v1/seg0.ts"];
        expected.sort();
        let mut files: Vec<&str> = files.iter().map(String::as_str).collect();
        files.sort();
        assert_eq!(files, expected);
    }
}
