//! Drawings, as SVG within the page: no script, no other file.

use maud::{Markup, html};

use super::course::Cell;
use crate::{
    model::{Quantity, Unit},
    time::Nanos,
};

/// The width of a drawing, and of what is left of its axis, in its own units.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 10.0;
/// Where the values are drawn, the strip of failures below them, and the axis of time.
const TOP: f64 = 22.0;
const BOTTOM: f64 = 170.0;
const STRIP: f64 = 178.0;
const STRIP_HEIGHT: f64 = 14.0;
const HEIGHT: f64 = 214.0;

/// A stretch of time with a name: a phase, or a fault in place.
pub(super) struct Stretch {
    pub(super) name: String,
    pub(super) start: Nanos,
    pub(super) end: Nanos,
}

/// What a drawing of one probe shows.
pub(super) struct Plot<'a> {
    /// What a reader who cannot see it is told.
    pub(super) title: String,
    pub(super) cells: &'a [Cell],
    pub(super) unit: Unit,
    pub(super) phases: &'a [Stretch],
    pub(super) faults: &'a [Stretch],
    /// Limits of claims about this probe, with the claims.
    pub(super) limits: &'a [(f64, String)],
    /// The moment at which a claim was nearest to the other verdict.
    pub(super) closest: Option<Nanos>,
}

impl Plot<'_> {
    /// Draws it; nothing where nothing was measured.
    pub(super) fn draw(&self) -> Markup {
        let (Some(first), Some(last)) = (self.cells.first(), self.cells.last()) else { return html! {} };
        let (from, to) = (first.start, last.end);
        let values = || self.cells.iter().filter_map(|cell| cell.values);
        let limits = self.limits.iter().map(|(limit, _)| *limit);
        let highest = values().map(|v| v.p99).chain(limits).fold(0.0, f64::max) * 1.15;
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let x = |at: Nanos| {
            let share = (at - from) as f64 / (to - from).max(1) as f64;
            LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
        };
        let y = |value: f64| BOTTOM - (value / highest).clamp(0.0, 1.0) * (BOTTOM - TOP);
        let middle = |cell: &Cell| x(cell.start / 2 + cell.end / 2);
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.title) {
                title { (self.title) }
                @for phase in self.phases {
                    (band("phase", x(phase.start), x(phase.end), TOP - 14.0, BOTTOM, &phase.name))
                    text.name x=(round(x(phase.start) + 3.0)) y=(TOP - 4.0) { (fitting(&phase.name, x(phase.end) - x(phase.start))) }
                }
                @for fault in self.faults {
                    (band("fault", x(fault.start), x(fault.end), TOP, BOTTOM, &fault.name))
                }
                @for value in ticks(highest) {
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(round(y(value))) y2=(round(y(value))) {}
                    text.tick x=(LEFT - 6.0) y=(round(y(value) + 4.0)) text-anchor="end" { (Quantity::new(value, self.unit)) }
                }
                @for run in runs(self.cells) {
                    path.range d=(area(run, &middle, |v| y(v.most), |v| y(v.least))) {}
                    path.band d=(area(run, &middle, |v| y(v.p99), |v| y(v.median))) {}
                    path.median d=(line(run, &middle, |v| y(v.median))) {}
                }
                @for (limit, claim) in self.limits {
                    line.limit x1=(LEFT) x2=(WIDTH - RIGHT) y1=(round(y(*limit))) y2=(round(y(*limit))) { title { (claim) } }
                }
                @for cell in self.cells.iter().filter(|cell| cell.taken > 0) {
                    @let failed = cell.taken - cell.succeeded;
                    rect class=(if failed > 0 { "failed" } else { "fine" })
                        x=(round(x(cell.start))) y=(round(STRIP + STRIP_HEIGHT * (1.0 - height(cell))))
                        width=(round((x(cell.end) - x(cell.start)).max(0.5))) height=(round(STRIP_HEIGHT * height(cell))) {
                        title { (format!("{failed} of {} failed", cell.taken)) }
                    }
                }
                @if let Some(at) = self.closest {
                    line.closest x1=(round(x(at))) x2=(round(x(at))) y1=(TOP) y2=(STRIP + STRIP_HEIGHT) { title { "the closest call" } }
                }
                @for at in ticks((to - from) as f64 / 1e9) {
                    @let there = x(from + (at * 1e9) as Nanos);
                    text.tick x=(round(there)) y=(HEIGHT - 6.0) text-anchor=(if at == 0.0 { "start" } else { "middle" }) {
                        (Quantity::new(at, Unit::Seconds))
                    }
                }
            }
        }
    }
}

/// How much of the strip a cell fills: all of it where nothing failed, else as much as failed, a little at least.
fn height(cell: &Cell) -> f64 {
    match cell.taken - cell.succeeded {
        0 => 0.2,
        failed => (failed as f64 / cell.taken as f64).max(0.3),
    }
}

/// Draws an interval of what was measured beside its limit.
pub(super) fn interval(unit: Unit, (lo, hi): (f64, f64), value: f64, limit: Option<f64>) -> Markup {
    let ends = [Some(lo), Some(hi), Some(value), limit];
    let finite = || ends.iter().flatten().copied().filter(|end| end.is_finite());
    let (least, most) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let room = ((most - least) * 0.1).max(f64::EPSILON);
    let x = |at: f64| 4.0 + ((at - least + room) / (most - least + 2.0 * room)).clamp(0.0, 1.0) * 172.0;
    let said =
        |at: f64| if at.is_finite() { Quantity::new(at, unit).to_string() } else { "unknown".to_owned() };
    let limit = limit.filter(|limit| limit.is_finite());
    let words = format!(
        "between {} and {}{}",
        said(lo),
        said(hi),
        limit.map_or_else(String::new, |limit| format!(", the limit is {}", said(limit)))
    );
    html! {
        svg.interval viewBox="0 0 180 18" role="img" aria-label=(words) {
            title { (words) }
            line.grid x1="4" x2="176" y1="9" y2="9" {}
            line.known x1=(round(x(lo))) x2=(round(x(hi).max(x(lo) + 1.0))) y1="9" y2="9" {}
            circle.median cx=(round(x(value))) cy="9" r="3.5" {}
            @if let Some(limit) = limit { line.limit x1=(round(x(limit))) x2=(round(x(limit))) y1="1" y2="17" {} }
        }
    }
}

fn band(class: &str, from: f64, to: f64, top: f64, bottom: f64, name: &str) -> Markup {
    html! {
        rect class=(class) x=(round(from)) y=(top) width=(round((to - from).max(1.0))) height=(bottom - top) { title { (name) } }
    }
}

/// Two decimals: more would only make the file larger.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// As much of a name as fits a width.
fn fitting(name: &str, width: f64) -> String {
    let most = (width / 6.5) as usize;
    match name.chars().count() {
        length if length <= most => name.to_owned(),
        _ if most < 4 => String::new(),
        _ => name.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// Round numbers from zero to a highest.
fn ticks(highest: f64) -> Vec<f64> {
    let raw = highest / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|of| of * power).into_iter().find(|step| *step >= raw).unwrap_or(raw);
    (0..=5).map(|number| f64::from(number) * step).filter(|value| *value <= highest).collect()
}

/// Splits cells where nothing was measured: no line leads over a gap.
fn runs(cells: &[Cell]) -> impl Iterator<Item = &[Cell]> {
    cells.split(|cell| cell.values.is_none()).filter(|run| !run.is_empty())
}

type Of = super::course::Values;

fn points<'a>(
    run: &'a [Cell],
    x: &'a impl Fn(&Cell) -> f64,
    y: impl Fn(&Of) -> f64 + 'a,
) -> impl DoubleEndedIterator<Item = String> + 'a {
    run.iter().filter_map(move |cell| {
        cell.values.as_ref().map(|values| format!("{} {}", round(x(cell)), round(y(values))))
    })
}

fn line(run: &[Cell], x: &impl Fn(&Cell) -> f64, y: impl Fn(&Of) -> f64) -> String {
    let points: Vec<String> = points(run, x, y).collect();
    // A single point is a line of no length, which a round end makes a dot.
    match points.as_slice() {
        [only] => format!("M{only} L{only}"),
        all => format!("M{}", all.join(" L")),
    }
}

fn area(
    run: &[Cell],
    x: &impl Fn(&Cell) -> f64,
    upper: impl Fn(&Of) -> f64,
    lower: impl Fn(&Of) -> f64,
) -> String {
    let all: Vec<String> = points(run, x, upper).chain(points(run, x, lower).rev()).collect();
    format!("M{}Z", all.join(" L"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_highest() {
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(37.0), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(ticks(0.0042).len(), 5);
    }

    #[test]
    fn names_are_cut_where_they_do_not_fit() {
        assert_eq!(fitting("baseline", 100.0), "baseline");
        assert_eq!(fitting("baseline", 40.0), "basel…");
        assert_eq!(fitting("baseline", 10.0), "");
    }
}
