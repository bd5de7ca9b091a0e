//! `GET /hlsgate/machines/…`: the documents by which machines find what is sold. `hlsgate-discovery.conf` puts them where they
//! are looked for.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use sha2::{Digest, Sha256};

use super::pay_by;
use crate::address::Address;
use crate::live::Live;
use crate::server::shop::problem::Problem;
use crate::shop::machine::discovery::{FOLDER, Site};
use crate::shop::machine::hex;

/// Prices change with the configuration only; a client that pays looks at the invoice anyway.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// Bytes of the digest that make an entity tag.
const TAG_LEN: usize = 16;

/// One of the documents.
///
/// Errors: `not-found` for another name, and where nothing is sold to machines.
pub(crate) fn answer(live: &Live, name: &str, headers: &HeaderMap) -> Result<Response<Full<Bytes>>, Problem> {
    pay_by(live)?;
    let site = Site {
        name: host(live),
        base: base(live),
        catalogue: &live.config.catalogue,
        titles: &live.config.videos.titles,
        lists_films: live.config.videos.catalogue.is_some(),
    };
    let (kind, text) = match name {
        "l402.json" => ("application/json", site.l402_json().to_string()),
        "l402-services" => ("application/json", site.l402_services().to_string()),
        "openapi.json" => ("application/json", site.openapi().to_string()),
        "llms.txt" => ("text/plain; charset=utf-8", site.llms_txt()),
        _ => return Err(Problem::not_found("there is no such document")),
    };
    let tag = format!("\"{}\"", hex(&Sha256::digest(&text)[..TAG_LEN]));
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|value| value.split(',')).any(|value| value.trim().trim_start_matches("W/") == tag);
    let mut response = Response::new(Full::default());
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Full::from(text);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, CACHED);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    // It holds nothing that is not public, and agents in browsers are of other origins.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}

/// Where the site is; empty where `public_url` is not set.
pub(crate) fn base(live: &Live) -> &str {
    live.config.public_url.as_ref().map(Address::as_str).unwrap_or_default()
}

/// What the site is called: its host.
pub(super) fn host(live: &Live) -> &str {
    live.config.public_url.as_ref().map_or("hlsgate", Address::host)
}

/// Points at the documents where there are any (`discovery-spec.md`, section 5.1; RFC 8631).
pub(crate) fn advertise(live: &Live, headers: &mut HeaderMap) {
    if pay_by(live).is_err() {
        return;
    }
    for (name, relation) in [("l402.json", "l402-manifest"), ("openapi.json", "service-desc")] {
        if let Ok(line) = HeaderValue::try_from(format!("<{}{FOLDER}{name}>; rel=\"{relation}\"", base(live))) {
            headers.append(LINK, line);
        }
    }
}
