//! What was measured, and how it compares.

use std::hint::black_box;
use std::time::Instant;

use criterion::Criterion;

/// The fastest sample of each measurement, by name.
#[derive(Default)]
pub(crate) struct Report(Vec<(String, f64)>);

impl Report {
    /// Measures, and remembers the fastest sample: criterion keeps its own figures to itself.
    pub(crate) fn time<T>(&mut self, criterion: &mut Criterion, name: &str, mut measured: impl FnMut() -> T) {
        let mut fastest = f64::INFINITY;
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let started = Instant::now();
                for _ in 0..iterations {
                    black_box(measured());
                }
                let took = started.elapsed();
                // Other work on the machine only ever adds time, so the fastest sample says most. The
                // few short ones of the warm-up say nothing.
                if iterations >= 50 {
                    fastest = fastest.min(took.as_secs_f64() / iterations as f64);
                }
                took
            });
        });
        self.0.push((name.to_owned(), fastest));
    }

    /// How long the one takes for each second of the other.
    pub(crate) fn ratio(&self, name: &str, reference: &str) -> f64 {
        self.of(name) / self.of(reference)
    }

    /// Prints the table, with ratios to one of its rows.
    pub(crate) fn print(&self, reference: &str) {
        println!("\n{:<40} {:>12} {:>10}", "fastest sample", "ns", "ratio");
        for (name, time) in &self.0 {
            println!("{name:<40} {:>12.0} {:>9.2}×", time * 1e9, self.ratio(name, reference));
        }
    }

    fn of(&self, name: &str) -> f64 {
        self.0.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, time)| *time)
    }
}
