//! `hlsgate btcpay connect`

mod secret;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use url::Url;
use zeroize::Zeroizing;

use super::on_disk;
use super::token::read_stdin;
use crate::btcpay::client::{authorize_link, optional_part};
use crate::btcpay::permissions::{TO_SELL, TO_SET_UP, VIEW_LIGHTNING};
use crate::btcpay::setup::{AuthorizedEvents, DeliveryRecord, NewWebhook, Webhook};
use crate::btcpay::{ApiKey, Client, Error};
use crate::check::registration::{self, EVENTS, PATH, Registered};
use crate::check::trial::{Tried, try_out};
use crate::config::{Btcpay as Section, Config};
use crate::failure::Failure;
use crate::live::client;
use crate::live::clock::now;

/// Connect the shop with BTCPay Server.
#[derive(Debug, Subcommand)]
pub(crate) enum Btcpay {
    /// Register the webhook, or repair it.
    Connect(Connect),
}

/// Register the webhook, or repair it.
///
/// Without an API key it prints the link where you make one with just the rights that are needed. With a key it makes the
/// secret, registers the webhook, and can be run again at any time: what is right stays, what is not is put right.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hlsgate btcpay connect
  hlsgate btcpay connect --key-from-stdin     # paste the API key, then Enter and Ctrl-D
  hlsgate btcpay connect --new-secret
  hlsgate btcpay connect --url http://10.0.0.2/hlsgate/webhooks/btcpay    # by an inner address")]
pub(crate) struct Connect {
    /// Read the API key from standard input, and store it in btcpay.api_key_file once BTCPay has said that it will do.
    #[arg(long)]
    key_from_stdin: bool,
    /// Print the link for another API key, although there is one.
    #[arg(long, conflicts_with = "key_from_stdin")]
    new_key: bool,
    /// Make a new secret. The old ones stay valid beside it until a delivery under the new one has come.
    #[arg(long)]
    new_secret: bool,
    /// Where BTCPay sends to, if not to public_url: the final address, since a redirect would lose the delivery. It is
    /// remembered.
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
}

impl Btcpay {
    pub(super) fn run(self, file: &Path) -> Result<ExitCode, Failure> {
        let Btcpay::Connect(connect) = self;
        let config = Config::load(file)?;
        let section = client::section(&config)?;
        let key = if connect.key_from_stdin { Some(key_from_stdin()?) } else { client::api_key(section)? };
        let Some(key) = key.filter(|_| !connect.new_key) else {
            tell_how_to_get_a_key(section, connect.new_key);
            return Ok(if connect.new_key { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        };
        let client = client::client_with(section, key.clone())?;
        let done = async {
            let may_register = check_rights(section, &client).await?;
            if connect.key_from_stdin {
                on_disk::put_secret(&section.api_key_file, key.expose().as_bytes())?;
            }
            match may_register {
                true => connect.run(&config, section, &client).await,
                false => connect.by_hand(&config, section),
            }
        };
        client::wait(done)??;
        Ok(ExitCode::SUCCESS)
    }
}

impl Connect {
    async fn run(self, config: &Config, section: &Section, client: &Client) -> Result<(), Failure> {
        let registered = registration::read(section);
        let url = self.target(config, registered.as_ref())?;
        let known = client.webhooks().await.map_err(|err| client::failed("list the store's webhooks", &err))?;
        let found = registration::own(&known, registered.as_ref(), &url);

        let secrets = secret::ready(&section.webhook_secret_file, self.new_secret)?;
        println!("secret   {}", secrets.told(&section.webhook_secret_file));
        let taken = try_out(&url, &secrets.current).await;
        let refused = taken == Tried::Answered(403);
        if found.is_some() && secrets.renewed && taken != Tried::Accepted {
            // The daemon has to know the secret before BTCPay signs with it.
            println!("webhook  BTCPay goes on with the secret that it has; nothing is lost meanwhile");
            println!();
            println!("Next steps: `systemctl reload hlsgate`, and then `hlsgate btcpay connect` again.");
            return Ok(());
        }
        if found.is_some() && refused {
            return Err(Failure::new(format!("BTCPay goes on with the secret that it has: {}", taken.told(&url)))
                .hint("run `systemctl reload hlsgate`, and then `hlsgate btcpay connect` again"));
        }
        let wanted = NewWebhook {
            url: &url,
            enabled: true,
            automatic_redelivery: true,
            authorized_events: AuthorizedEvents::only(&EVENTS),
            // BTCPay tells nobody which secret it has, so it is told each time.
            secret: Some(&secrets.current),
        };
        let failed = |err: Error| client::failed("register the webhook", &err);
        let digest = registration::digest(&secrets.current);
        let is_told = registered.as_ref().is_some_and(|it| it.secret == digest);
        let deliveries = match found {
            Some(found) => client.deliveries(&found.id, RECENT).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let (made, what) = match found {
            None => (client.create_webhook(&wanted).await.map_err(failed)?, "made".to_owned()),
            Some(found) => {
                let secret_fits = is_told && !deliveries.first().is_some_and(DeliveryRecord::has_bad_signature);
                let what = repaired(found, &url, secret_fits);
                (client.update_webhook(&found.id, &wanted).await.map_err(failed)?, what)
            }
        };
        let told = registered.as_ref().filter(|_| is_told).map_or_else(now, |it| it.told);
        let chosen = (registration::target(config).as_ref() != Some(&url)).then(|| url.clone());
        let remembered = Registered { webhook: made.id.clone(), url: chosen, secret: digest, told };
        let text = serde_json::to_string_pretty(&remembered).map_err(|err| Failure::new(err.to_string()))?;
        on_disk::put_public(&registration::file(section), format!("{text}\n").as_bytes())?;

        println!("webhook  {what}: {}", made.id);
        println!("         to {url}");
        println!("         for {}", EVENTS.join(", "));
        let others = known.iter().filter(|it| it.url.ends_with(PATH) && it.id != made.id);
        for other in others {
            println!("         another, {}, goes to {}: delete it in BTCPay if it is not needed", other.id, other.url);
        }
        let came = |delivery: &DeliveryRecord| delivery.arrived() && delivery.timestamp > told.plus(STILL_REPEATED);
        if secrets.earlier > 0 && deliveries.iter().any(came) {
            secret::drop_earlier(&section.webhook_secret_file)?;
            println!("secret   deliveries come under the new one: the earlier ones were dropped");
        }
        println!("trial    {}", taken.told(&url));
        if taken != Tried::Accepted {
            println!();
            println!("Next steps: `systemctl reload hlsgate` (or start it), then `hlsgate check`.");
        }
        Ok(())
    }

    /// Where BTCPay is to send to: what was said now, else what was said before, else below public_url.
    fn target(&self, config: &Config, registered: Option<&Registered>) -> Result<String, Failure> {
        let said = self.url.as_ref().map(Url::to_string).or_else(|| registered?.url.clone());
        let usual = || registration::target(config);
        said.or_else(usual).ok_or_else(|| Failure::new("public_url is not set"))
    }

    /// With a key that sells and may not manage webhooks: what is to be entered in BTCPay.
    fn by_hand(self, config: &Config, section: &Section) -> Result<(), Failure> {
        let url = self.target(config, None)?;
        let secrets = secret::ready(&section.webhook_secret_file, self.new_secret)?;
        let file = section.webhook_secret_file.display();
        println!("secret   {}", secrets.told(&section.webhook_secret_file));
        println!(
            "webhook  not looked at: the API key may not manage webhooks. In BTCPay, Store Settings, Webhooks, it needs:"
        );
        println!("         Payload URL {url}");
        println!("         Secret      the first line of {file}");
        println!("         Automatic redelivery on, and these events: {}", EVENTS.join(", "));
        Ok(())
    }
}

/// Attempts to deliver that are looked at.
const RECENT: usize = 50;
/// Seconds for which BTCPay goes on repeating what it queued under an earlier secret: 61 min, and the requests' own time.
const STILL_REPEATED: u64 = 2 * 60 * 60;

/// Says what was wrong with a webhook that was there already.
fn repaired(found: &Webhook, url: &str, secret_fits: bool) -> String {
    let mut problems = registration::problems(found);
    if found.url != url {
        problems.push(format!("it went to {}", found.url));
    }
    if !secret_fits {
        problems.push("it was told the secret".into());
    }
    if problems.is_empty() { "was right already".into() } else { format!("repaired ({})", problems.join("; ")) }
}

/// Whether the key may manage webhooks as well.
///
/// Errors: it may not even sell.
async fn check_rights(section: &Section, client: &Client) -> Result<bool, Failure> {
    let failed = |err: Error| client::failed("ask BTCPay what the API key may", &err);
    let info = client.api_key().await.map_err(failed)?;
    let lacks = |permission: &&str| !info.permissions.allow(permission, &section.terms.store);
    let missing: Vec<&str> = TO_SELL.into_iter().filter(lacks).collect();
    if missing.is_empty() {
        let may_register = !TO_SET_UP.iter().any(lacks);
        let more = if may_register { ", and manage webhooks" } else { "" };
        println!("BTCPay   {}: the API key may make and see invoices{more}", client.at());
        return Ok(may_register);
    }
    let link = link(section);
    Err(Failure::new(format!("the API key may not do this in store {}: {}", section.terms.store, missing.join(", ")))
        .hint(format!("make another at {link}\n        and paste it into `hlsgate btcpay connect --key-from-stdin`")))
}

fn tell_how_to_get_a_key(section: &Section, another: bool) {
    let file = section.api_key_file.display();
    match another {
        true => println!("Another API key for {file}:"),
        false => println!("There is no API key in {file} yet."),
    }
    println!();
    println!("  1. Open this in a browser, log in to BTCPay, and confirm:");
    println!();
    println!("     {}", link(section));
    println!();
    println!(
        "     It asks for three rights in the store {} alone: make invoices, see them, manage webhooks.",
        section.terms.store
    );
    println!(
        "     A fourth, {VIEW_LIGHTNING}, is optional: with it the Lightning node itself is asked about an\n     \
         invoice that BTCPay gives up unpaid, so that nobody loses what they paid while the node was away. It shows every\n     \
         invoice of that node, with the proofs of payment, whoever made it. To go without, leave this out of the link:\n     \
         {}",
        optional_part(&section.terms.store)
    );
    println!("  2. hlsgate btcpay connect --key-from-stdin    # paste the key that it shows, then Enter and Ctrl-D");
    println!("     This stores it in {file}, for the daemon alone to read, and goes on.");
    if another {
        println!("  3. systemctl reload hlsgate, and delete the old key in BTCPay: Account, API Keys.");
    }
}

fn key_from_stdin() -> Result<ApiKey, Failure> {
    let text = Zeroizing::new(read_stdin()?);
    ApiKey::parse(&text).map_err(|err| Failure::new(format!("standard input is no API key: {err}")).exit(2))
}

fn link(section: &Section) -> Url {
    authorize_link(&section.public_url, &section.terms.store)
}
