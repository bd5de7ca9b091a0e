//! What is on sale: which offers a video has, its own or those of the passes that hold it.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::money::{Currency, CurrencyError, Price, PriceError};
use crate::gate::scope::{NameError, PassName, PassVideos, Passes, Scope, Tier, VideoId};

/// One way to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The offer's id, unique among those of one video or pass.
    pub(crate) tier: Tier,
    /// What it costs.
    pub(crate) price: Price,
    /// Seconds that the token lasts; `None` never expires.
    pub(crate) duration: Option<u64>,
}

/// What is wrong with one offer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum OfferError {
    /// The offer's id.
    #[error(transparent)]
    Tier(#[from] NameError),
    /// What it costs.
    #[error(transparent)]
    Price(#[from] PriceError),
    /// In which currency.
    #[error(transparent)]
    Currency(#[from] CurrencyError),
    /// A token that would expire in the second it is bought.
    #[error("a duration of 0 sells nothing; leave it out for an offer that never expires")]
    Duration,
}

/// Two offers of one list have the same id.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("two offers have the tier {tier:?}; give each its own")]
pub(crate) struct DuplicateTier {
    /// The id that is there twice.
    pub(crate) tier: Tier,
    /// Place of the second one in the list, from 0.
    pub(crate) index: usize,
}

/// The offers of one video or pass, in the configuration's order, no tier twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers(Vec<Offer>);

/// Which video ids are sold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sell {
    /// Any id, at the general offers unless it has its own.
    #[default]
    Any,
    /// Only those that the configuration names.
    Listed,
}

/// All that is on sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// What every video is sold at, unless it has offers of its own.
    pub(crate) general: Offers,
    /// The videos that the configuration names; `Some` replaces the general offers, `Some` of none is off sale.
    pub(crate) videos: BTreeMap<VideoId, Option<Offers>>,
    /// Which videos each pass holds.
    pub(crate) passes: Passes,
    /// What each pass is sold at; a pass without an entry is not on sale.
    pub(crate) pass_offers: BTreeMap<PassName, Offers>,
    /// Which video ids are sold.
    pub(crate) sell: Sell,
}

/// An offer together with what its token will open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferFor<'a> {
    /// The token's future `sub`: the video, or a pass that holds it.
    pub(crate) covers: Scope,
    /// What is offered.
    pub(crate) offer: &'a Offer,
}

impl Offer {
    /// Reads an offer of the configuration. All that is wrong with it comes at once; [`OfferError::field`] says where.
    ///
    /// - `price`, `currency`: see [`Price::parse`] and [`Currency`].
    /// - `duration`: seconds; `None` never expires.
    pub(crate) fn parse(
        tier: &str,
        price: &str,
        currency: &str,
        duration: Option<u64>,
    ) -> Result<Offer, Vec<OfferError>> {
        let mut problems: Vec<OfferError> = Vec::new();
        let tier = tier.parse().map_err(|err: NameError| problems.push(err.into()));
        let currency = currency.parse::<Currency>().map_err(|err| problems.push(err.into()));
        let price =
            currency.and_then(|currency| Price::parse(price, currency).map_err(|err| problems.push(err.into())));
        if duration == Some(0) {
            problems.push(OfferError::Duration);
        }
        match (tier, price) {
            (Ok(tier), Ok(price)) if problems.is_empty() => Ok(Offer { tier, price, duration }),
            _ => Err(problems),
        }
    }
}

impl OfferError {
    /// The name of the offer's field that is wrong, as the configuration spells it.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            OfferError::Tier(_) => "tier",
            OfferError::Price(_) => "price",
            OfferError::Currency(_) => "currency",
            OfferError::Duration => "duration",
        }
    }
}

impl Offers {
    /// Takes the offers of one list together; every repeated tier comes back.
    pub(crate) fn new(offers: Vec<Offer>) -> Result<Offers, Vec<DuplicateTier>> {
        let mut seen = BTreeSet::new();
        let again = |(index, offer): (usize, &Offer)| match seen.insert(offer.tier) {
            true => None,
            false => Some(DuplicateTier { tier: offer.tier, index }),
        };
        let duplicates: Vec<DuplicateTier> = offers.iter().enumerate().filter_map(again).collect();
        if duplicates.is_empty() { Ok(Offers(offers)) } else { Err(duplicates) }
    }

    /// The offers, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Offer> {
        self.0.iter()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Catalogue {
    /// Every offer of the configuration, whatever it is for.
    pub(crate) fn every_offer(&self) -> impl Iterator<Item = &Offer> {
        let own = self.videos.values().flatten().chain(self.pass_offers.values());
        std::iter::once(&self.general).chain(own).flat_map(Offers::iter)
    }

    /// What opens this video, the offers for it alone first, then those of passes by name. None: it is not on sale.
    ///
    /// A video with an empty list of its own is off sale, also through a pass. With [`Sell::Listed`] a video that only
    /// a pass lists is sold by that pass alone.
    pub(crate) fn offers_for(&self, video: &VideoId) -> Vec<OfferFor<'_>> {
        let listed = self.videos.get(video);
        let alone = match (listed, self.sell) {
            (Some(Some(own)), _) if own.is_empty() => return Vec::new(),
            (Some(Some(own)), _) => Some(own),
            (Some(None), _) | (None, Sell::Any) => Some(&self.general),
            (None, Sell::Listed) => None,
        };
        let for_it = |offer| OfferFor { covers: Scope::Video(*video), offer };
        let alone = alone.into_iter().flat_map(Offers::iter).map(for_it);
        let by_pass = self.passes.iter().filter(|(_, videos)| match videos {
            PassVideos::All => self.sell == Sell::Any || listed.is_some(),
            PassVideos::Listed(videos) => videos.contains(video),
        });
        let by_pass = by_pass.flat_map(|(name, _)| {
            let offers = self.pass_offers.get(name).into_iter().flat_map(Offers::iter);
            offers.map(|offer| OfferFor { covers: Scope::Pass(*name), offer })
        });
        alone.chain(by_pass).collect()
    }

    /// The offer that a buyer of this video names.
    ///
    /// - `covers`: the video or pass to buy; without it the first offer of this tier in the list.
    pub fn find(&self, video: &VideoId, tier: &Tier, covers: Option<&Scope>) -> Option<OfferFor<'_>> {
        let wanted =
            |found: &OfferFor<'_>| found.offer.tier == *tier && covers.is_none_or(|covers| *covers == found.covers);
        self.offers_for(video).into_iter().find(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(tiers: &[&str]) -> Offers {
        let offer = |tier: &&str| Offer::parse(tier, "100", "SATS", None).unwrap();
        Offers::new(tiers.iter().map(offer).collect()).unwrap()
    }

    fn catalogue(sell: Sell) -> Catalogue {
        let id = |text: &str| text.parse::<VideoId>().unwrap();
        let name = |text: &str| text.parse::<PassName>().unwrap();
        Catalogue {
            general: offers(&["24h", "forever"]),
            videos: [(id("own"), Some(offers(&["once"]))), (id("off"), Some(offers(&[]))), (id("named"), None)].into(),
            passes: Passes::new([
                (name("some"), PassVideos::Listed([id("own"), id("off"), id("only-by-pass")].into())),
                (name("every"), PassVideos::All),
                (name("unsold"), PassVideos::All),
            ]),
            pass_offers: [(name("some"), offers(&["30d"])), (name("every"), offers(&["30d", "year"]))].into(),
            sell,
        }
    }

    fn listing(catalogue: &Catalogue, video: &str) -> String {
        let found = catalogue.offers_for(&video.parse().unwrap());
        found.iter().map(|found| format!("{}={} ", found.offer.tier, found.covers)).collect()
    }

    #[test]
    fn a_video_has_its_own_offers_or_the_general_ones_and_those_of_its_passes() {
        let any = catalogue(Sell::Any);
        assert_eq!(listing(&any, "x"), "24h=x forever=x 30d=pass:every year=pass:every ");
        assert_eq!(listing(&any, "named"), "24h=named forever=named 30d=pass:every year=pass:every ");
        assert_eq!(listing(&any, "own"), "once=own 30d=pass:every year=pass:every 30d=pass:some ");
        assert_eq!(listing(&any, "off"), "");
    }

    #[test]
    fn with_sell_listed_only_named_videos_are_sold() {
        let listed = catalogue(Sell::Listed);
        assert_eq!(listing(&listed, "x"), "");
        assert_eq!(listing(&listed, "named"), "24h=named forever=named 30d=pass:every year=pass:every ");
        assert_eq!(listing(&listed, "only-by-pass"), "30d=pass:some ");
    }

    #[test]
    fn an_offer_is_found_by_tier_and_by_what_it_covers() {
        let any = catalogue(Sell::Any);
        let find = |tier: &str, covers: Option<&str>| {
            let covers = covers.map(|covers| covers.parse::<Scope>().unwrap());
            let found = any.find(&"own".parse().unwrap(), &tier.parse().unwrap(), covers.as_ref());
            found.map(|found| found.covers.to_string())
        };
        assert_eq!(find("once", None).as_deref(), Some("own"));
        assert_eq!(find("30d", None).as_deref(), Some("pass:every"));
        assert_eq!(find("30d", Some("pass:some")).as_deref(), Some("pass:some"));
        assert_eq!(find("once", Some("pass:some")), None);
        assert_eq!(find("24h", None), None);
        assert_eq!(find("30d", Some("*")), None);
    }

    #[test]
    fn all_that_is_wrong_with_an_offer_comes_at_once() {
        let problems = Offer::parse("2 days", "0", "SATS", Some(0)).unwrap_err();
        assert_eq!(problems.iter().map(OfferError::field).collect::<Vec<_>>(), ["tier", "price", "duration"]);
        let problems = Offer::parse("", "x", "sats", None).unwrap_err();
        assert_eq!(problems.iter().map(OfferError::field).collect::<Vec<_>>(), ["tier", "currency"]);
    }

    #[test]
    fn a_tier_is_there_once_in_a_list() {
        let offer = |price| Offer::parse("24h", price, "SATS", None).unwrap();
        let duplicate = DuplicateTier { tier: "24h".parse().unwrap(), index: 1 };
        assert_eq!(Offers::new(vec![offer("1"), offer("2")]), Err(vec![duplicate]));
    }
}
