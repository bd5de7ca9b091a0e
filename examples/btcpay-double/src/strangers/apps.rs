//! The store's apps: a point of sale, and a crowdfund. Visitors name items, amounts, and an `orderId`.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{field, form};
use crate::{
    greenfield::{authorise, nothing},
    http::{Call, Reply, html_error, invalid, ok, redirect},
    ids, invoice_api,
    json::Json,
    keys, money,
    reading::{self, number, text},
    world::World,
};

/// Where BTCPay has the sounds of a crowdfund from, and their names.
const SOUNDS: &str = "https://github.com/ClaudiuHKS/AdvancedQuakeSounds/tree/master/sound/AQS";
const SOUND_NAMES: &str = "dominating doublekill doublekill2 eagleeye firstblood firstblood2 firstblood3 godlike hattrick headhunter \
    headshot headshot2 headshot3 holyshit killingspree ludicrouskill megakill monsterkill multikill ownage payback rampage teamkiller \
    triplekill ultrakill unstoppable whickedsick";

#[derive(Clone, Debug)]
pub struct App {
    id: String,
    /// `pos`, `crowdfund`
    kind: &'static str,
    title: String,
    currency: String,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    id: String,
    title: String,
    price: String,
    shown: Value,
}

pub fn create(world: &mut World, call: &Call, store: &str, kind: &str) -> Result<Reply, Reply> {
    let kind = match (call.method.as_str(), kind) {
        ("POST", "pos") => "pos",
        ("POST", "crowdfund") => "crowdfund",
        _ => return Ok(nothing(call)),
    };
    authorise(world, call, keys::MODIFY_STORE, Some(store))?;
    let request = call.document()?.value;
    let name = text(&request, "appName").ok_or_else(|| invalid(&[("AppName", "App name is required")]))?;
    let title = text(&request, "title").unwrap_or_else(|| name.clone());
    let currency = text(&request, if kind == "pos" { "currency" } else { "targetCurrency" });
    let currency = currency.unwrap_or_else(|| world.store.default_currency.clone());
    let app = App { id: ids::label(), kind, title, currency, items: items(&request) };
    let mut answer = if kind == "pos" { point_of_sale(&app, &request) } else { crowdfund(&app, &request) };
    let common = json!({
        "title": app.title, "notificationUrl": null, "description": null, "htmlLang": null, "htmlMetaTags": null, "formId": null,
        "id": app.id, "appName": name, "storeId": store, "archived": false, "created": world.now().div_euclid(1000),
    });
    if let (Some(answer), Value::Object(common)) = (answer.as_object_mut(), common) {
        answer.extend(common);
    }
    world.strangers.apps.push(app);
    Ok(ok(&answer))
}

/// `template`: a list of items, as JSON in a text.
fn items(request: &Json) -> Vec<Item> {
    let template: Value =
        text(request, "template").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let item = |item: &Value| {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let of = |name: &str| item.get(name).cloned().unwrap_or_default();
        Item {
            id: text("id"),
            title: text("title"),
            price: text("price"),
            shown: json!({
                "id": of("id"), "title": of("title"), "disabled": false, "description": of("description"),
                "categories": of("categories"), "image": of("image"), "priceType": of("priceType"), "price": of("price"),
                "buyButtonText": of("buyButtonText"), "inventory": of("inventory"), "taxRate": of("taxRate"),
            }),
        }
    };
    template.as_array().into_iter().flatten().map(item).collect()
}

fn point_of_sale(app: &App, request: &Json) -> Value {
    let flag = |name: &str| reading::flag(request, name).unwrap_or_default();
    let items: Vec<&Value> = app.items.iter().map(|item| &item.shown).collect();
    json!({
        "items": items, "defaultView": text(request, "defaultView").unwrap_or_else(|| "Static".into()),
        "showItems": flag("showItems"), "showCustomAmount": flag("showCustomAmount"),
        "showDiscount": flag("showDiscount"), "showSearch": flag("showSearch"),
        "showCategories": flag("showCategories"), "enableTips": flag("enableTips"), "currency": app.currency,
        "fixedAmountPayButtonText": "Buy for {0}", "customAmountPayButtonText": "Pay", "tipText": "Do you want to leave a tip?",
        "redirectUrl": null, "redirectAutomatically": null, "customTipPercentages": null, "appType": "PointOfSale",
    })
}

fn crowdfund(app: &App, request: &Json) -> Value {
    let flag = |name: &str| reading::flag(request, name).unwrap_or_default();
    let sounds: Vec<String> = SOUND_NAMES.split_whitespace().map(|name| format!("{SOUNDS}/{name}.wav")).collect();
    json!({
        "perks": [], "enabled": flag("enabled"), "enforceTargetAmount": false, "startDate": null,
        "targetCurrency": app.currency, "endDate": null, "targetAmount": reading::amount(request, "targetAmount").map(number),
        "mainImageUrl": null, "tagline": null, "disqusEnabled": false, "disqusShortname": null, "soundsEnabled": false,
        "animationsEnabled": false, "resetEveryAmount": 1, "resetEvery": "Never", "displayPerksValue": false,
        "displayPerksRanking": false, "sortPerksByPopularity": false, "sounds": sounds,
        "animationColors": ["#FF6138", "#FFBE53", "#2980B9", "#282741"], "appType": "Crowdfund",
    })
}

/// A visitor sends the app's form: an item or an amount, and what else he likes to say.
pub fn visit(world: &mut World, call: &Call, id: &str, view: &str) -> Reply {
    let Some(app) = world.strangers.apps.iter().find(|app| app.id == id && app.kind == view).cloned() else {
        return html_error(404);
    };
    if call.method != "POST" {
        return html_error(405);
    }
    let form = form(call);
    let here = format!("{}/apps/{id}/{view}", call.base);
    let item = field(&form, "choiceKey").and_then(|key| app.items.iter().find(|item| item.id == key));
    let given = field(&form, "amount").and_then(money::parse);
    let price = item.and_then(|item| money::parse(&item.price)).or(given).unwrap_or_default();
    let mut metadata = json!({
        "orderId": field(&form, "orderId").map_or_else(ids::fresh, str::to_owned), "orderUrl": here,
    });
    if view == "pos" {
        // What he sends as `posData` is not taken.
        metadata["posData"] = cart(item, price);
        metadata["receiptData"] = receipt(item, price, &app.currency);
        if let Some(item) = item {
            metadata["itemCode"] = item.id.as_str().into();
            metadata["itemDesc"] = item.title.as_str().into();
        }
    } else {
        metadata["itemCode"] = "".into();
        metadata["itemDesc"] = app.title.as_str().into();
    }
    let redirect_to = field(&form, "redirectUrl").map_or(here, str::to_owned);
    let creation = json!({
        "amount": price.to_string(), "currency": app.currency, "metadata": metadata, "checkout": {"redirectURL": redirect_to},
    });
    match invoice_api::make(world, &creation, None) {
        Ok(invoice) => redirect(302, &format!("{}/i/{invoice}", call.base)),
        Err(_) => html_error(400),
    }
}

fn cart(item: Option<&Item>, price: Decimal) -> Value {
    let sum = number(price);
    let bought =
        |item: &Item| json!({"id": item.id, "price": sum, "title": null, "count": 1, "inventory": null, "image": null});
    let cart: Vec<Value> = item.map(bought).into_iter().collect();
    json!({
        "cart": cart, "amounts": null, "customAmount": 0.0, "discountPercentage": 0.0, "tipPercentage": 0.0, "itemsTotal": sum,
        "discountAmount": 0.0, "subTotal": sum, "tax": 0.0, "tip": 0.0, "total": sum,
    })
}

fn receipt(item: Option<&Item>, price: Decimal, currency: &str) -> Value {
    let places = money::decimals(currency).unwrap_or(2) as usize;
    let sum = match currency {
        "USD" => format!("${price:.places$}"),
        other => format!("{price:.places$} {other}"),
    };
    let mut receipt = json!({});
    if let Some(item) = item {
        receipt["Title"] = item.title.as_str().into();
        receipt["Cart"] = json!({item.title.as_str(): format!("1 x {sum} = {sum}")});
    }
    receipt["Total"] = sum.into();
    receipt
}
