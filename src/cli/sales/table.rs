//! A table of sales with a bar for each line, for a terminal or a mail.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use rust_decimal::Decimal;

use super::Sale;

/// Cells of the longest bar.
const BAR_LEN: usize = 30;
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// Sales of one line: how many, and their sums by currency.
#[derive(Clone, Default)]
struct Line<'a> {
    count: usize,
    sums: BTreeMap<&'a str, Decimal>,
}

impl<'a> Line<'a> {
    fn add(&mut self, sale: &'a Sale) {
        self.count += 1;
        *self.sums.entry(&sale.currency).or_default() += sale.amount;
    }
}

/// Prints a line for each name, in their order, and the totals.
pub(super) fn print<'a>(
    heading: &str,
    named: impl Iterator<Item = (String, &'a Sale)>,
    out: &mut impl Write,
) -> io::Result<()> {
    let (mut lines, mut total) = (BTreeMap::<String, Line<'_>>::new(), Line::default());
    for (name, sale) in named {
        lines.entry(name).or_default().add(sale);
        total.add(sale);
    }
    let currencies: BTreeSet<&str> = total.sums.keys().copied().collect();
    let most = lines.values().map(|line| line.count).max().unwrap_or_default();

    let mut rows = vec![cells(heading, "sales".into(), currencies.iter().map(|&currency| currency.to_owned()))];
    let row_of = |name: &str, line: &Line<'_>| {
        let sums =
            currencies.iter().map(|currency| line.sums.get(currency).map_or_else(String::new, Decimal::to_string));
        cells(name, line.count.to_string(), sums)
    };
    rows.extend(lines.iter().map(|(name, line)| row_of(name, line)));
    rows.push(row_of("total", &total));

    let columns = currencies.len() + 2;
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let bars = std::iter::once(String::new()).chain(lines.values().map(|line| bar(line.count, most)));
    for (row, bar) in rows.iter().zip(bars.chain(std::iter::once(String::new()))) {
        let mut text = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.push_str("  ");
        text.push_str(&bar);
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

fn cells(name: &str, count: String, sums: impl Iterator<Item = String>) -> Vec<String> {
    [name.to_owned(), count].into_iter().chain(sums).collect()
}

/// A bar of `count` out of `most`, to an eighth of a cell; never nothing for something.
fn bar(count: usize, most: usize) -> String {
    let eighths = (count * BAR_LEN * 8).div_ceil(most.max(1));
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::time::UnixTime;
    use crate::shop::lane::Lane;

    fn sale(video: &str, amount: &str, currency: &str) -> Sale {
        Sale {
            invoice: "HMprBnL9BTXWuPvpoKBS6e".into(),
            settled: UnixTime(0),
            video: video.into(),
            covers: video.into(),
            tier: "24h".into(),
            amount: amount.parse().unwrap(),
            currency: currency.into(),
            lane: Lane::Page,
        }
    }

    #[test]
    fn a_table_adds_up() {
        let mut sales = vec![sale("film", "5.00", "USD"), sale("film", "0.00000100", "BTC")];
        sales.extend((0..15).map(|_| sale("series", "0.00003000", "BTC")));
        let mut out = Vec::new();
        print("video", sales.iter().map(|sale| (sale.video.clone(), sale)), &mut out).unwrap();
        let expected = "\
video   sales         BTC   USD
film        2  0.00000100  5.00  ████
series     15  0.00045000        ██████████████████████████████
total      17  0.00045100  5.00
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_bar_shows_the_smallest_part() {
        for (count, most, expected) in [(0, 0, ""), (1, 1, &*"█".repeat(30)), (1, 2000, "▏"), (1, 60, "▌")] {
            assert_eq!(bar(count, most), expected, "{count}/{most}");
        }
    }
}
