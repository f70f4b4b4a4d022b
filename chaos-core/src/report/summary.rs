//! What came of many experiments, in one line.

use super::{Line, Reports, Subject, text::style};
use crate::outcome::{Ran, Verdict, result};

/// Says how many of the experiments that were asked for ended how, the best first: `6 experiments: 4 passed, 1 inconclusive,
/// 1 failed`. A search is one, and each cell of a matrix; the trials of a search are none.
pub fn line(reports: &Reports<'_>, asked: usize) -> Line {
    let ended: Vec<Verdict> = reports.all.iter().flat_map(|reported| verdicts(reported.subject)).collect();
    let mut out = Line::at(0).strong(format!("{asked} experiments: "));
    let mut first = true;
    for verdict in Verdict::ALL {
        let count = ended.iter().filter(|ended| **ended == verdict).count();
        if count > 0 {
            out =
                out.plain(if first { "" } else { ", " }).piece(style(verdict), format!("{count} {verdict}"));
            first = false;
        }
    }
    match asked.saturating_sub(ended.len()) {
        0 => out,
        left => out.plain(if first { "" } else { ", " }).plain(format!("{left} not come to")),
    }
}

fn verdicts(subject: Subject<'_>) -> Vec<Verdict> {
    match subject {
        Subject::Run(record) => vec![result(record).verdict],
        Subject::NotRun(not_run) => vec![not_run.verdict],
        Subject::Matrix(_, cells) => cells.iter().map(Ran::verdict).collect(),
        Subject::Search(record) => vec![record.verdict()],
        Subject::Trial(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outcome::NotRun,
        report::{Reported, line::plain},
    };

    fn not_run(verdict: Verdict) -> NotRun {
        NotRun { experiment: "x".into(), verdict, reason: "r".into(), help: None }
    }

    #[test]
    fn experiments_are_counted_by_how_they_ended() {
        let (refused, denied) = (not_run(Verdict::Refused), not_run(Verdict::NotPermitted));
        let reported = |not_run| Reported { subject: Subject::NotRun(not_run), file: None };
        let all = vec![reported(&denied), reported(&refused), reported(&refused)];
        let reports = Reports { all, several: true };
        assert_eq!(plain(&[line(&reports, 3)]), "3 experiments: 2 refused, 1 not permitted\n");
        assert_eq!(plain(&[line(&reports, 7)]), "7 experiments: 2 refused, 1 not permitted, 4 not come to\n");
        let none = Reports { all: vec![], several: true };
        assert_eq!(plain(&[line(&none, 2)]), "2 experiments: 2 not come to\n");
    }
}
