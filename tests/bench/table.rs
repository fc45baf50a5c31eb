//! The table: a row for each thing measured, with what was expected of it.

use std::fmt;

use crate::samples::{Samples, Unit};

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// At most so many times the rival's median.
    Ratio(f64),
    /// A median of at most so much.
    AtMost(f64),
    /// Nothing: the figure is for information.
    Nothing,
}

/// One thing that was measured.
#[derive(Debug)]
pub(crate) struct Row {
    /// What envtree did.
    pub(crate) name: &'static str,
    /// What the figures count.
    pub(crate) unit: Unit,
    /// envtree's figures.
    pub(crate) own: Samples,
    /// The rival and its figures.
    pub(crate) rival: Option<(&'static str, Samples)>,
    /// What was expected.
    pub(crate) expected: Expected,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        let (_, rival) = self.rival.as_ref()?;
        Some(self.own.median() / rival.median())
    }

    fn is_met(&self) -> Option<bool> {
        match self.expected {
            Expected::Ratio(most) => Some(self.ratio()? <= most),
            Expected::AtMost(most) => Some(self.own.median() <= most),
            Expected::Nothing => None,
        }
    }

    fn expectation(&self) -> String {
        match (self.expected, self.unit) {
            (Expected::Ratio(most), _) => format!("≤ {most:.2}×"),
            (Expected::AtMost(most), Unit::Bytes) => format!("≤ {:.0} MB", most / 1e6),
            (Expected::AtMost(most), _) => format!("≤ {most}"),
            (Expected::Nothing, _) => String::new(),
        }
    }

    fn cells(&self) -> [String; 7] {
        let (rival, figures) = match &self.rival {
            Some((rival, samples)) => ((*rival).to_owned(), samples.show(self.unit)),
            None => Default::default(),
        };
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        [
            self.name.to_owned(),
            self.own.show(self.unit),
            rival,
            figures,
            self.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            self.expectation(),
            verdict.to_owned(),
        ]
    }
}

/// All rows, written as a Markdown table whose columns are aligned.
pub(crate) struct Table<'a>(pub(crate) &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "envtree", "beside", "", "ratio", "expected", ""].map(str::to_owned);
        let lines: Vec<[String; 7]> = std::iter::once(head).chain(self.0.iter().map(Row::cells)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 7] = std::array::from_fn(width);
        for (number, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                write!(formatter, "| {cell:width$} ")?;
            }
            formatter.write_str("|\n")?;
            if number == 0 {
                for width in widths {
                    write!(formatter, "|{}", "-".repeat(width + 2))?;
                }
                formatter.write_str("|\n")?;
            }
        }
        Ok(())
    }
}
