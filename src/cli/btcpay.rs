//! `hlsgate btcpay connect`

mod secret;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use url::Url;
use zeroize::Zeroizing;

use super::files;
use super::token::read_stdin;
use crate::btcpay::client::authorize_link;
use crate::btcpay::permissions::{TO_SELL, TO_SET_UP};
use crate::btcpay::setup::{AuthorizedEvents, NewWebhook, Webhook};
use crate::btcpay::{ApiKey, Client, Error};
use crate::check::webhook;
use crate::config::{Btcpay as Section, Config};
use crate::failure::Failure;
use crate::live::client;

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
    /// Make a new secret. The old one stays valid beside it, for deliveries that BTCPay still repeats.
    #[arg(long)]
    new_secret: bool,
    /// Where BTCPay sends to, if not to public_url: the final address, since a redirect would lose the delivery.
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
}

impl Btcpay {
    pub(super) fn run(self, file: &Path) -> Result<ExitCode, Failure> {
        let Btcpay::Connect(connect) = self;
        let config = Config::load(file)?;
        let section = client::section(&config)?;
        let key = if connect.key_from_stdin { Some(key_from_stdin()?) } else { client::api_key(section)? };
        let Some(key) = key else {
            tell_how_to_get_a_key(section)?;
            return Ok(ExitCode::FAILURE);
        };
        let client = client::client_with(section, key.clone())?;
        let done = async {
            check_rights(section, &client).await?;
            if connect.key_from_stdin {
                files::put_secret(&section.api_key_file, key.expose().as_bytes())?;
            }
            connect.run(&config, section, &client).await
        };
        client::wait(done)??;
        Ok(ExitCode::SUCCESS)
    }
}

impl Connect {
    async fn run(self, config: &Config, section: &Section, client: &Client) -> Result<(), Failure> {
        let url = match &self.url {
            Some(url) => url.to_string(),
            None => webhook::target(config).ok_or_else(|| Failure::new("public_url is not set"))?.into(),
        };
        let known = client.webhooks().await.map_err(|err| client::failed("list the store's webhooks", &err))?;
        let (ours, others): (Vec<Webhook>, Vec<Webhook>) =
            known.into_iter().filter(|webhook| webhook.url.ends_with(webhook::PATH)).partition(|it| it.url == url);
        let found = ours.first();

        let secrets = secret::ready(&section.webhook_secret_file, self.new_secret)?;
        println!("secret   {}", secrets.told(&section.webhook_secret_file));
        let taken = webhook::try_out(&url, &secrets.current).await;
        let refused = taken == webhook::Tried::Answered(403);
        if found.is_some() && (refused || secrets.renewed && taken != webhook::Tried::Accepted) {
            // BTCPay loses a delivery that is answered with 403: first the daemon has to know the secret.
            return Err(Failure::new(format!("BTCPay goes on with the secret that it has: {}", taken.told(&url)))
                .hint("run `systemctl reload hlsgate`, and then `hlsgate btcpay connect` again"));
        }
        let wanted = NewWebhook {
            url: &url,
            enabled: true,
            automatic_redelivery: true,
            authorized_events: AuthorizedEvents::only(&webhook::EVENTS),
            // BTCPay tells nobody which secret it has, so it is told each time.
            secret: Some(&secrets.current),
        };
        let failed = |err: Error| client::failed("register the webhook", &err);
        let (made, what) = match found {
            None => (client.create_webhook(&wanted).await.map_err(failed)?, "made".to_owned()),
            Some(found) => (client.update_webhook(&found.id, &wanted).await.map_err(failed)?, repaired(found)),
        };
        println!("webhook  {what}: {}", made.id);
        println!("         to {url}");
        println!("         for {}", webhook::EVENTS.join(", "));
        for other in ours.iter().skip(1).chain(&others) {
            println!("         another, {}, goes to {}: delete it in BTCPay if it is not needed", other.id, other.url);
        }
        println!("trial    {}", taken.told(&url));
        if taken != webhook::Tried::Accepted {
            println!();
            println!("Next steps: `systemctl reload hlsgate` (or start it), then `hlsgate check`.");
        }
        Ok(())
    }
}

/// Says what was wrong with a webhook that was there already.
fn repaired(found: &Webhook) -> String {
    let problems = webhook::problems(found);
    if problems.is_empty() { "was right already".into() } else { format!("repaired ({})", problems.join("; ")) }
}

async fn check_rights(section: &Section, client: &Client) -> Result<(), Failure> {
    let failed = |err: Error| client::failed("ask BTCPay what the API key may", &err);
    let info = client.api_key().await.map_err(failed)?;
    let needed = TO_SELL.iter().chain(&TO_SET_UP);
    let missing: Vec<&str> =
        needed.copied().filter(|permission| !info.permissions.allow(permission, &section.store)).collect();
    if missing.is_empty() {
        println!("BTCPay   {}: the API key may make and see invoices, and manage webhooks", client.at());
        return Ok(());
    }
    let link = link(section)?;
    Err(Failure::new(format!("the API key may not do this in store {}: {}", section.store, missing.join(", ")))
        .hint(format!("make another at {link}\n        and paste it into `hlsgate btcpay connect --key-from-stdin`")))
}

fn tell_how_to_get_a_key(section: &Section) -> Result<(), Failure> {
    let file = section.api_key_file.display();
    println!("There is no API key in {file} yet.");
    println!();
    println!("  1. Open this in a browser, log in to BTCPay, choose the store {} alone:", section.store);
    println!();
    println!("     {}", link(section)?);
    println!();
    println!("     It asks for three rights in that store: make invoices, see them, manage webhooks.");
    println!("  2. hlsgate btcpay connect --key-from-stdin    # paste the key that it shows, then Enter and Ctrl-D");
    println!("     This stores it in {file}, for the daemon alone to read, and goes on.");
    Ok(())
}

fn key_from_stdin() -> Result<ApiKey, Failure> {
    let text = Zeroizing::new(read_stdin()?);
    ApiKey::parse(&text).map_err(|err| Failure::new(format!("standard input is no API key: {err}")).exit(2))
}

fn link(section: &Section) -> Result<Url, Failure> {
    authorize_link(&section.public_url, &section.store)
        .map_err(|err| client::failed("make the link for an API key", &err))
}
