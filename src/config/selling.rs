//! The part of the file that sells: `[shop]`, `[btcpay]`, offers, videos and passes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problems::Problems;
use super::section::Section;
use crate::address::Address;
use crate::gate::scope::{PassName, PassVideos, Passes, VideoId};
use crate::shop::invoice::Tolerance;
use crate::shop::offers::{Catalogue, Offer, OfferError, Offers, Sell};
use crate::shop::settlement::Terms;

/// `[shop]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shop {
    /// Where the checkout sends the viewer back to, under `public_url`; `{video}` stands for the video's id.
    pub(crate) page: String,
    /// Most invoices that are made in a minute.
    pub(crate) invoices_per_minute: u32,
    /// Most invoices that are being made at once.
    pub(crate) invoices_at_once: u32,
}

/// `[machines]`: what is sold to clients that pay by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machines {
    /// Whether anything is.
    pub(crate) sell: bool,
    /// Most invoices that are made for them in a minute; people's are counted apart.
    pub(crate) invoices_per_minute: u32,
    /// Most invoices that are being made for them at once.
    pub(crate) invoices_at_once: u32,
    /// Names of the files that a film begins with, at least one: with `hlsgate-l402.conf` these alone show a challenge.
    pub(crate) playlists: Vec<String>,
}

/// `[btcpay]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Btcpay {
    /// Where the API is called; a path is kept.
    pub(crate) url: Address,
    /// Where viewers reach the checkout.
    pub(crate) public_url: Address,
    /// The store, and what counts as settled there.
    pub(crate) terms: Terms,
    /// Holds the API key.
    pub(crate) api_key_file: PathBuf,
    /// Holds the webhook's secret, and on a second line the previous one during a change.
    pub(crate) webhook_secret_file: PathBuf,
    /// Holds the certificates that BTCPay's has to be signed by, or be; `None` is the system's authorities.
    pub(crate) ca_file: Option<PathBuf>,
    /// `BTC-LN`, `BTC-CHAIN`, …
    pub(crate) payment_methods: Vec<String>,
    /// How many confirmations count.
    pub(crate) speed_policy: String,
    /// For how long an invoice can be paid.
    pub(crate) invoice_expiration: Duration,
    /// For how long BTCPay watches it after that.
    pub(crate) monitoring: Duration,
    /// Whether the Lightning node itself is asked about an invoice that BTCPay gives up unpaid.
    pub(crate) lightning_witness: bool,
}

impl Btcpay {
    /// How many confirmations an on-chain payment needs; BTCPay takes none for one if the transaction can be replaced.
    pub(crate) fn confirmations(&self) -> u8 {
        SPEED_POLICIES.iter().find(|(name, _)| *name == self.speed_policy).map_or(1, |(_, wanted)| *wanted)
    }
}

/// `[videos]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Videos {
    /// With it, only ids that have a folder here are sold.
    pub(crate) folder: Option<PathBuf>,
    /// The list that the site's pages show, for the titles of films.
    pub(crate) catalogue: Option<PathBuf>,
    /// Titles of videos and passes by the `sub` of their tokens.
    pub(crate) titles: BTreeMap<String, String>,
}

/// The one name that no pass can have: the cookie of a pass is `hlsgate_NAME`, and `hlsgate_pending` holds a claim.
const PENDING_PASS: &str = "pending";
/// BTCPay's words, and how many confirmations each asks for.
const SPEED_POLICIES: [(&str, u8); 4] = [("HighSpeed", 0), ("MediumSpeed", 1), ("LowMediumSpeed", 2), ("LowSpeed", 6)];

pub(super) fn shop(mut section: Section, problems: &mut Problems) -> Shop {
    let page = section.read("page", problems, |text| match text.starts_with('/') && !text.starts_with("//") {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no path of the site; write it like \"/watch.html?v={{video}}\"")),
    });
    let shop = Shop {
        page: page.unwrap_or_else(|| "/watch.html?v={video}".into()),
        invoices_per_minute: section.count("invoices_per_minute", problems).unwrap_or(300),
        invoices_at_once: section.count("invoices_at_once", problems).unwrap_or(16),
    };
    section.finish(problems);
    shop
}

pub(super) fn machines(mut section: Section, problems: &mut Problems) -> Machines {
    let playlists = section.strings("playlists", problems).unwrap_or_else(|| vec!["master.m3u8".into()]);
    if playlists.is_empty() {
        problems.note(section.path_of("playlists"), "the list is empty; write [\"master.m3u8\"], or leave it out");
    }
    for (index, name) in playlists.iter().enumerate() {
        // Of the form of a video id: it stands in nginx's configuration as it is.
        if VideoId::from_bytes(name.as_bytes()).is_none() {
            let field = format!("{}[{index}]", section.path_of("playlists"));
            problems.note(
                field,
                format_args!("{name:?} is not a file name of A-Z a-z 0-9 . _ -; write it like \"master.m3u8\""),
            );
        }
    }
    let machines = Machines {
        sell: section.boolean("sell", problems).unwrap_or(true),
        invoices_per_minute: section.count("invoices_per_minute", problems).unwrap_or(60),
        invoices_at_once: section.count("invoices_at_once", problems).unwrap_or(4),
        playlists,
    };
    section.finish(problems);
    machines
}

/// The id by which BTCPay 2 returns a payment method: of any coin and kind, plugins' included. BTCPay accepts version 1's names
/// too and returns today's (recorded: `checkout-odd`), so they are translated here, once.
fn payment_method(text: &str) -> Option<String> {
    const FORMER: [(&str, &str); 4] =
        [("-LightningNetwork", "-LN"), ("_LightningLike", "-LN"), ("-OnChain", "-CHAIN"), ("-LNURLPAY", "-LNURL")];
    let is_coin = |coin: &str| coin.len() >= 3 && coin.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if is_coin(text) {
        return Some(format!("{text}-CHAIN"));
    }
    let former = FORMER.iter().find_map(|(before, now)| Some(format!("{}{now}", text.strip_suffix(before)?)));
    let name = former.unwrap_or_else(|| text.to_owned());
    let (coin, kind) = name.split_once('-')?;
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    (plain(coin) && plain(kind)).then_some(name)
}

pub(super) fn btcpay(mut section: Section, folder: &Path, problems: &mut Problems) -> Option<Btcpay> {
    let example = "https://btcpay.example";
    let url = section.read("url", problems, |text| Address::parse(text, example));
    section.require("url", &url, problems, "write url = \"https://btcpay.example\"");
    let public_url = section.read("public_url", problems, |text| Address::parse(text, example));
    let store = section.read("store", problems, |text| {
        match text.bytes().all(|b| b.is_ascii_alphanumeric()) && !text.is_empty() {
            true => Ok(text.to_owned()),
            false => Err(format!("{text:?} is no store id; BTCPay shows it under Store Settings, \"Store Id\"")),
        }
    });
    section.require("store", &store, problems, "BTCPay shows it under Store Settings, \"Store Id\"");
    let api_key_file = secret_file(&mut section, "api_key_file", "btcpay-api-key", problems);
    let webhook_secret_file = secret_file(&mut section, "webhook_secret_file", "btcpay-webhook-secret", problems);
    let ca_file = section.string("ca_file", problems).map(|file| folder.join(file));
    let mut payment_methods = section.strings("payment_methods", problems).unwrap_or_else(|| vec!["BTC-LN".into()]);
    if payment_methods.is_empty() {
        problems.note(
            section.path_of("payment_methods"),
            "the list is empty; write [\"BTC-LN\"], or [\"BTC-LN\", \"BTC-CHAIN\"]",
        );
    }
    for (index, method) in payment_methods.iter_mut().enumerate() {
        match payment_method(method) {
            Some(name) => *method = name,
            None => problems.note(
                format!("{}[{index}]", section.path_of("payment_methods")),
                format_args!(
                    "{method:?} is no payment method; BTCPay 2 calls them \"BTC-LN\", \"BTC-CHAIN\", \"BTC-LNURL\""
                ),
            ),
        }
    }
    let speed_policy =
        section.read("speed_policy", problems, |text| match SPEED_POLICIES.iter().any(|(name, _)| *name == text) {
            true => Ok(text.to_owned()),
            false => Err(format!("{text:?} is none of {}", SPEED_POLICIES.map(|(name, _)| name).join(", "))),
        });
    let invoice_expiration =
        minutes(&mut section, "invoice_expiration", problems).unwrap_or(Duration::from_secs(30 * 60));
    let monitoring = minutes(&mut section, "monitoring", problems).unwrap_or(Duration::from_secs(24 * 60 * 60));
    let accept_marked = section.boolean("accept_marked", problems).unwrap_or(true);
    let accept_invalid = section.boolean("accept_invalid", problems).unwrap_or(true);
    let lightning_witness = section.boolean("lightning_witness", problems).unwrap_or(true);
    let tolerance = section.read("tolerance", problems, |text| match text {
        "network-fee" => Ok(Tolerance::NetworkFee),
        "none" => Ok(Tolerance::None),
        _ => Err(format!("{text:?} is neither \"network-fee\" nor \"none\"")),
    });
    section.finish(problems);
    let url = url?;
    Some(Btcpay {
        public_url: public_url.unwrap_or_else(|| url.clone()),
        url,
        terms: Terms { store: store?, accept_marked, accept_invalid, tolerance: tolerance.unwrap_or_default() },
        api_key_file: folder.join(api_key_file),
        webhook_secret_file: folder.join(webhook_secret_file),
        ca_file,
        payment_methods,
        speed_policy: speed_policy.unwrap_or_else(|| "MediumSpeed".into()),
        invoice_expiration,
        monitoring,
        lightning_witness,
    })
}

/// The name of a file that holds a secret, and not the secret itself, which a later error would show.
fn secret_file(section: &mut Section, name: &'static str, default: &str, problems: &mut Problems) -> String {
    // BTCPay's keys are 40 hex digits, its webhook secrets 27 letters and digits.
    let secret = |text: &str| text.len() >= 24 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let file = section.read(name, problems, |text| match secret(text) {
        true => Err("this looks like the secret itself; put it into a file, and write that file's name here".into()),
        false => Ok(text.to_owned()),
    });
    file.unwrap_or_else(|| default.into())
}

/// BTCPay counts these in whole minutes.
fn minutes(section: &mut Section, name: &'static str, problems: &mut Problems) -> Option<Duration> {
    let duration = section.duration(name, problems)?;
    if duration.as_secs() == 0 || !duration.as_secs().is_multiple_of(60) {
        problems.note(section.path_of(name), "BTCPay takes whole minutes, at least one; write for instance \"30m\"");
    }
    Some(duration)
}

/// Offers, videos and passes together: which video is sold at which price.
pub(super) fn catalogue(root: &mut Section, folder: &Path, problems: &mut Problems) -> (Catalogue, Videos) {
    let general = offers(root, problems).unwrap_or_default();

    let mut section = root.section("videos", problems);
    let sell = section.read("sell", problems, |text| match text {
        "any" => Ok(Sell::Any),
        "listed" => Ok(Sell::Listed),
        _ => Err(format!("{text:?} is neither \"any\" nor \"listed\"")),
    });
    let videos_folder = section.string("folder", problems).map(|path| folder.join(path));
    let catalogue = section.string("catalogue", problems).map(|path| folder.join(path));
    let (mut videos, mut titles) = (BTreeMap::new(), BTreeMap::new());
    for (id, mut video) in section.named_sections() {
        let own = offers(&mut video, problems);
        titles.extend(video.string("title", problems).map(|title| (id.clone(), title)));
        video.finish(problems);
        videos.extend(problems.check::<VideoId, _>(&section.path_of(&id), id.parse()).map(|id| (id, own)));
    }
    section.finish(problems);

    let mut section = root.section("passes", problems);
    let (mut passes, mut pass_offers) = (Vec::new(), BTreeMap::new());
    for (name, mut pass) in section.named_sections() {
        let own = offers(&mut pass, problems).unwrap_or_default();
        let held = pass_videos(&mut pass, problems);
        titles.extend(pass.string("title", problems).map(|title| (format!("pass:{name}"), title)));
        pass.require("videos", &held, problems, "write videos = \"all\" or a list of ids");
        pass.finish(problems);
        if name == PENDING_PASS {
            problems
                .note(section.path_of(&name), "its cookie would be that of a purchase under way; choose another name");
        }
        let name = problems.check::<PassName, _>(&section.path_of(&name), name.parse());
        if let (Some(name), Some(held)) = (name, held) {
            passes.push((name, held));
            pass_offers.insert(name, own);
        }
    }
    section.finish(problems);

    let (passes, sell) = (Passes::new(passes), sell.unwrap_or_default());
    (Catalogue { general, videos, passes, pass_offers, sell }, Videos { folder: videos_folder, catalogue, titles })
}

/// A list of video ids, or `"all"`.
fn pass_videos(section: &mut Section, problems: &mut Problems) -> Option<PassVideos> {
    let field = section.path_of("videos");
    match section.word_or_strings("videos", problems)? {
        Ok(word) if word == "all" => Some(PassVideos::All),
        Ok(word) => {
            problems.note(field, format_args!("{word:?}; write videos = \"all\" or a list of ids"));
            None
        }
        Err(ids) => {
            let mut videos = BTreeSet::new();
            for (index, id) in ids.iter().enumerate() {
                videos.extend(problems.check::<VideoId, _>(&format!("{field}[{index}]"), id.parse()));
            }
            Some(PassVideos::Listed(videos))
        }
    }
}

/// `[[offers]]`, or `offers = […]` of a video or pass.
fn offers(section: &mut Section, problems: &mut Problems) -> Option<Offers> {
    let path = section.path_of("offers");
    let (mut offers, mut places) = (Vec::new(), Vec::new());
    for (place, mut item) in section.sections("offers", problems)?.into_iter().enumerate() {
        if let Some(offer) = offer(&mut item, problems) {
            offers.push(offer);
            places.push(place);
        }
        item.finish(problems);
    }
    match Offers::new(offers) {
        Ok(offers) => Some(offers),
        Err(duplicates) => {
            for duplicate in duplicates {
                // Offers that are wrong in themselves count in the file as well.
                problems.note(format!("{path}[{}].tier", places[duplicate.index]), duplicate);
            }
            None
        }
    }
}

fn offer(section: &mut Section, problems: &mut Problems) -> Option<Offer> {
    let tier = section.string("tier", problems);
    section.require("tier", &tier, problems, "write for instance tier = \"24h\"");
    let price = section.string("price", problems);
    section.require("price", &price, problems, "write it as a decimal string, for instance price = \"100\"");
    let currency = section.string("currency", problems);
    section.require("currency", &currency, problems, "write for instance currency = \"SATS\"");
    let duration = section.duration("duration", problems).map(|duration| duration.as_secs());
    match Offer::parse(&tier?, &price?, &currency?, duration) {
        Ok(offer) => Some(offer),
        Err(errors) => {
            errors.iter().for_each(|err: &OfferError| problems.note(section.path_of(err.field()), err));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let whole = format!("public_url = \"https://video.example\"\n{text}");
        match Config::parse(&whole, Path::new("/etc/hlsgate/hlsgate.toml")) {
            Err(ConfigError::Problems { problems, .. }) => {
                problems.iter().map(|problem| format!("{}: {}", problem.field, problem.text)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_price_that_gives_away_or_cannot_be_paid_is_refused() {
        let offer = |price: &str, currency: &str| {
            let text = format!("[[offers]]\ntier = \"24h\"\nprice = \"{price}\"\ncurrency = \"{currency}\"\n");
            problems(&text).join("; ")
        };
        for (price, currency, expected) in [
            ("0", "SATS", "offers[0].price: a price of 0 would give the video away; it has to be more than zero"),
            ("-1", "USD", "offers[0].price: a price of -1 would give the video away; it has to be more than zero"),
            ("1.5", "SATS", "offers[0].price: 1.5 is finer than SATS, which has no decimals in BTCPay; write 2"),
            ("999.99", "ARS", "offers[0].price: 999.99 is finer than ARS, which has no decimals in BTCPay; write 1000"),
            (
                "5",
                "XYZ",
                "offers[0].currency: \"XYZ\" is no currency that BTCPay Server knows; write \"SATS\", \"BTC\", or a code of \
                 ISO 4217 that is in use",
            ),
            (
                "5",
                "sats",
                "offers[0].currency: \"sats\" is no currency code; write it in capitals, like \"SATS\", \"BTC\" or \"USD\"",
            ),
        ] {
            assert_eq!(offer(price, currency), expected);
        }
    }

    #[test]
    fn payment_methods_are_called_as_btcpay_returns_them() {
        for (written, called) in [
            ("BTC-LN", "BTC-LN"),
            ("BTC", "BTC-CHAIN"),
            ("BTC-OnChain", "BTC-CHAIN"),
            ("BTC-LightningNetwork", "BTC-LN"),
            ("BTC_LightningLike", "BTC-LN"),
            ("BTC-LNURLPAY", "BTC-LNURL"),
            ("XMR-CHAIN", "XMR-CHAIN"),
            ("L_USDT-CHAIN.2", "L_USDT-CHAIN.2"),
        ] {
            assert_eq!(payment_method(written).as_deref(), Some(called));
        }
        for bad in ["", "LN", "BTC_LN", "-LN", "BTC-", "BTC LN", "BTC-L\"N", "btc"] {
            assert_eq!(payment_method(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_cookie_of_a_purchase_is_no_passs() {
        let found = problems("[passes.pending]\nvideos = \"all\"\n[passes.summer]\nvideos = \"all\"\n");
        let expected = "passes.pending: its cookie would be that of a purchase under way; choose another name";
        assert_eq!(found, [expected]);
    }
}
