//! BTCPay notices by itself that a date was reached, when it looks: every five minutes.

use super::{LOOK_EVERY, Subscriptions, loaded::Loaded, operation::Operation, subscriber::Subscriber};
use crate::world::World;

/// BTCPay looks at the periods that have ended.
pub fn look(world: &mut World) {
    let now = world.now();
    let due: Vec<u64> = world.subscriptions.due(now);
    world.subscriptions.looked = now;
    let mut offerings: Vec<String> = vec![];
    for number in &due {
        if let Some(subscriber) = world.subscriptions.subscriber(*number)
            && !offerings.contains(&subscriber.offering)
        {
            offerings.push(subscriber.offering.clone());
        }
    }
    for offering in offerings {
        let all = &world.subscriptions;
        let members: Vec<&Subscriber> = due.iter().filter_map(|number| all.subscriber(*number)).collect();
        let members: Vec<&Subscriber> = members.into_iter().filter(|member| member.offering == offering).collect();
        let mut loaded = Loaded::default();
        for member in &members {
            loaded.features |= member.scheduled.is_some();
            loaded.add(member.next_plan());
            loaded.add(&member.plan);
        }
        let numbers: Vec<u64> = members.iter().map(|member| member.number).collect();
        let mut operation = Operation::begin(world, loaded);
        let mut all = std::mem::take(&mut world.subscriptions);
        for number in numbers {
            operation.update(&mut all, number);
        }
        world.subscriptions = all;
        operation.end(world);
    }
}

impl Subscriptions {
    /// Those whose dates say something that BTCPay has not noticed.
    fn due(&self, now: i64) -> Vec<u64> {
        let unnoticed = |subscriber: &&Subscriber| {
            let plans = self.plan(&subscriber.plan).zip(self.plan(subscriber.next_plan()));
            plans.is_some_and(|(own, next)| {
                let missing = next.price > subscriber.credit(&next.currency);
                let reminder = subscriber.reminder.is_some_and(|moment| moment <= now);
                subscriber.expected(own, now) != subscriber.phase || missing && reminder && !subscriber.reminded
            })
        };
        self.subscribers.iter().filter(unnoticed).map(|subscriber| subscriber.number).collect()
    }
}

/// When BTCPay next sees anything when it looks: the first look after a date was reached, or will be.
pub fn next_look(world: &World) -> Option<i64> {
    let (all, now) = (&world.subscriptions, world.now());
    let reached = all.due(now).into_iter().filter_map(|number| all.subscriber(number)?.last_date(now));
    let coming = all.subscribers.iter().filter_map(|subscriber| subscriber.next_date(now));
    let from = reached.chain(coming).min()?.max(all.looked + 1);
    let since = (from - all.looks_at).rem_euclid(LOOK_EVERY);
    Some(if since == 0 { from } else { from + LOOK_EVERY - since })
}
