//! What is believed of the breaking point, on a grid.

/// The share of trials that go the other way for reasons of their own.
const LAPSE: f64 = 0.02;
/// The intervals into which the range is cut for the breaking point.
const CELLS: usize = 200;
/// How many scales are thought possible.
const SCALES: usize = 16;
/// The smallest scale, as a share of the range: a sharp edge.
const SHARPEST: f64 = 1.0 / 400.0;
/// The largest scale, as a share of the range: a gentle slope.
const GENTLEST: f64 = 0.15;

/// The probability of each breaking point and scale, given the trials so far; uniform before the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    low: f64,
    step: f64,
    scales: Vec<f64>,
    /// Row by row, one for each point of the grid; they add up to one.
    weights: Vec<f64>,
}

impl Posterior {
    /// Knows nothing but the range.
    pub fn new(low: f64, high: f64) -> Self {
        let range = high - low;
        let ratio = GENTLEST / SHARPEST;
        let scale = |i: usize| range * SHARPEST * ratio.powf(i as f64 / (SCALES - 1) as f64);
        let count = (CELLS + 1) * SCALES;
        Posterior {
            low,
            step: range / CELLS as f64,
            scales: (0..SCALES).map(scale).collect(),
            weights: vec![1.0 / count as f64; count],
        }
    }

    /// Learns from the result of a trial.
    pub fn learn(&mut self, level: f64, held: bool) {
        let (low, step) = (self.low, self.step);
        for (row, weights) in self.weights.chunks_mut(SCALES).enumerate() {
            let point = low + step * row as f64;
            for (weight, scale) in weights.iter_mut().zip(&self.scales) {
                let holds = holds(level, point, *scale);
                *weight *= if held { holds } else { 1.0 - holds };
            }
        }
        let sum: f64 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|w| *w /= sum);
    }

    /// Returns the point below which the breaking point lies with this probability; each point of the grid stands for the
    /// cell around it, within the range.
    pub fn quantile(&self, probability: f64) -> f64 {
        let mut below = 0.0;
        for (row, weights) in self.weights.chunks(SCALES).enumerate() {
            let weight: f64 = weights.iter().sum();
            if below + weight >= probability && weight > 0.0 {
                let left = (row as f64 - 0.5).max(0.0);
                let right = (row as f64 + 0.5).min(CELLS as f64);
                let share = ((probability - below) / weight).clamp(0.0, 1.0);
                return self.low + self.step * (left + share * (right - left));
            }
            below += weight;
        }
        self.low + self.step * CELLS as f64
    }

    /// Returns the level below which the odds of holding are at least these, but for a tail of this probability: the quantile
    /// of x₅₀ − s ln(odds), lapses aside.
    pub fn reliable(&self, odds: f64, tail: f64) -> f64 {
        let mut levels: Vec<(f64, f64)> =
            self.cells().map(|(point, scale, weight)| (point - scale * odds.ln(), weight)).collect();
        levels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut below = 0.0;
        for (level, weight) in levels {
            below += weight;
            if below >= tail {
                return level;
            }
        }
        self.low
    }

    /// Returns the probability with which each number of these levels would hold if they were all tried anew: entry `k` is
    /// that of exactly `k`.
    pub fn predict(&self, levels: &[f64]) -> Vec<f64> {
        let mut predicted = vec![0.0; levels.len() + 1];
        let mut counts = vec![0.0; levels.len() + 1];
        for (point, scale, weight) in self.cells().filter(|(.., weight)| *weight > 1e-12) {
            counts.fill(0.0);
            counts[0] = 1.0;
            for (tried, level) in levels.iter().enumerate() {
                let holds = holds(*level, point, scale);
                for k in (0..=tried).rev() {
                    counts[k + 1] += counts[k] * holds;
                    counts[k] *= 1.0 - holds;
                }
            }
            predicted.iter_mut().zip(&counts).for_each(|(sum, count)| *sum += weight * count);
        }
        predicted
    }

    /// Visits every point, scale and weight.
    fn cells(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.weights
            .iter()
            .enumerate()
            .map(|(i, weight)| (self.low + self.step * (i / SCALES) as f64, self.scales[i % SCALES], *weight))
    }
}

/// The probability that a level holds.
pub(super) fn holds(level: f64, point: f64, scale: f64) -> f64 {
    LAPSE / 2.0 + (1.0 - LAPSE) / (1.0 + ((level - point) / scale).exp())
}
