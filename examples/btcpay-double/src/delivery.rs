//! Sends webhooks: one at a time per webhook, each until it succeeds, is refused for good, or is given up.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use crate::{
    app::App,
    client, ids,
    webhook::{self, Ids, Outcome, RETRY_WAITS},
    world::{Attempt, Job, real_now},
};

/// `HttpClient.Timeout`, in milliseconds of this server's clock.
const TIMEOUT: i64 = 100_000;

/// A webhook's worker: head of line first, however long it takes.
pub async fn work(app: Arc<App>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        deliver(&app, &job).await;
        app.with(|world| world.finished(&job));
    }
}

async fn deliver(app: &App, job: &Job) {
    let delay = app.with(|world| world.switches.webhook_delay_ms);
    if delay > 0 {
        sleep(Duration::from_millis(delay)).await;
    }
    let wanted =
        app.with(|world| world.webhook(&job.webhook).is_some_and(|webhook| webhook.wants(&job.raised.event.kind)));
    if !wanted {
        return;
    }
    let original = job.original.clone().unwrap_or_else(|| job.delivery.clone());
    let mut ids = Ids { delivery: job.delivery.clone(), webhook: job.webhook.clone(), original };
    let mut outcome = attempt(app, job, &ids, &job.url, &job.secret, job.queued).await;
    for wait in RETRY_WAITS {
        let (again, scale) = app.with(|world| {
            let automatic = world.webhook(&job.webhook).is_some_and(|webhook| webhook.automatic_redelivery);
            (automatic && outcome.retried(world.version), world.time_scale)
        });
        if !again {
            return;
        }
        app.sleep((wait.as_millis() as f64 * scale) as i64, Some(&job.webhook)).await;
        let target = app.with(|world| {
            let webhook = world.webhook(&job.webhook).filter(|webhook| webhook.wants(&job.raised.event.kind))?;
            Some((webhook.url.clone(), webhook.secret.clone(), world.now().div_euclid(1000)))
        });
        let Some((url, secret, queued)) = target else { return };
        ids.delivery = ids::fresh();
        outcome = attempt(app, job, &ids, &url, &secret, queued).await;
    }
}

async fn attempt(app: &App, job: &Job, ids: &Ids, url: &str, secret: &str, queued: i64) -> Outcome {
    let body = webhook::body(&job.raised, ids);
    let (version, copies) = app.with(|world| (world.version.to_string(), world.switches.webhook_copies));
    let mut first = None;
    for copy in 0..=copies {
        let (at, sent) = (real_now(), app.with(|world| world.now().div_euclid(1000)));
        let answered = async {
            let (outcome, after) = client::post(url, secret, &version, body.clone()).await;
            if after > 0 {
                app.sleep(after, Some(&job.webhook)).await;
            }
            outcome
        };
        let outcome = tokio::select! {
            outcome = answered => outcome,
            () = app.sleep(TIMEOUT, None) => Outcome::Failed(
                "The request was canceled due to the configured HttpClient.Timeout of 100 seconds elapsing.".into(),
            ),
        };
        app.with(|world| {
            world.attempts.push(Attempt {
                delivery: ids.delivery.clone(),
                original: ids.original.clone(),
                webhook: ids.webhook.clone(),
                url: url.to_owned(),
                raised: Some(Arc::clone(&job.raised)),
                kind: job.raised.event.kind.clone(),
                body: body.clone(),
                outcome: outcome.clone(),
                queued,
                sent,
                at,
                listed: copy == 0,
                pruned: false,
            });
        });
        first.get_or_insert(outcome);
    }
    first.unwrap_or_else(|| Outcome::Failed("no attempt".into()))
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
