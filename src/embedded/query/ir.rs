//! The typed plan of a `SELECT`: names are columns, types are known, wildcards are gone.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{
    expr::Expr,
    technical::Technical,
    value::{Scalar, Type},
    window::{MAX_TIME, Windows},
};
use crate::{
    embedded::{Schema, Tables},
    influxql::ast::Limits4,
};

/// A `SELECT`.
#[derive(Clone)]
pub(super) struct Select {
    /// What is read, sorted by measurement.
    pub(super) sources: Vec<Source>,
    /// Columns that are read of each source.
    pub(super) refs: Vec<Ref>,
    /// Function calls, each once.
    pub(super) calls: Vec<Call>,
    /// What comes out. Slots: refs first, then calls.
    pub(super) columns: Vec<Column>,
    /// The name of the time's column.
    pub(super) time_name: Box<str>,
    /// Both ends included.
    pub(super) time: (i64, i64),
    /// What is looked at for the outermost query: its time, and the windows before it that its transformations need. 1.x takes the types of
    /// columns from there, and no subquery reads beyond.
    pub(super) reach: (i64, i64),
    /// What the statement itself says of the time; `time` is the part of it that the query around it looks at.
    pub(super) own_time: (i64, i64),
    /// The end where nobody says one.
    pub(super) open_end: i64,
    pub(super) windows: Option<Windows>,
    /// Tags of `GROUP BY`, sorted.
    pub(super) dimensions: Vec<Box<str>>,
    /// Tags of the outermost query's groups, sorted: what 1.x sorts points by, and whose combinations `SLIMIT` counts.
    pub(super) limited_by: Vec<Box<str>>,
    pub(super) fill: Fill,
    pub(super) ascending: bool,
    pub(super) limits: Limits4,
    /// `tz()`: its name and the zone.
    pub(super) zone: Option<(Box<str>, TimeZone)>,
    /// Why it can't be run; a query around it fails when it reads a column of it.
    pub(super) refused: Option<Box<str>>,
}

impl Select {
    /// Whether the only call is a selector: its points then keep their own times, and their rows' other columns can be had.
    pub(super) fn is_selector(&self) -> bool {
        matches!(&self.calls[..], [call] if call.function.is_selector())
    }

    /// Whether it groups by more than the query around all of them does: rows of its groups then come mixed, as 1.x sorts by the outermost
    /// query's groups only.
    pub(super) fn mixes_groups(&self) -> bool {
        self.dimensions != self.limited_by
    }

    /// Where the tags of the outermost query's groups are among those of its own.
    pub(super) fn outer_places(&self) -> Vec<usize> {
        (0..self.dimensions.len()).filter(|place| self.limited_by.contains(&self.dimensions[*place])).collect()
    }

    /// The same over other sources.
    pub(super) fn over(&self, sources: Vec<Source>) -> Self {
        Self { sources, ..self.clone() }
    }

    /// The same for a query that looks at this time.
    pub(super) fn within(&self, time: (i64, i64)) -> Self {
        let time = (self.own_time.0.max(time.0), self.own_time.1.min(time.1));
        Self { time: closed(time, self.open_end), ..self.clone() }
    }

    /// Groups by these tags too: what a query groups by, its subqueries do.
    pub(super) fn group_by_too(&mut self, dimensions: &[Box<str>]) {
        self.carry(dimensions);
        self.limit_by(dimensions);
    }

    fn limit_by(&mut self, dimensions: &[Box<str>]) {
        self.limited_by = dimensions.to_vec();
        for table in self.sources.iter_mut().flat_map(|source| &mut source.tables) {
            if let Reader::Subquery(inner) = &mut table.reader {
                inner.limit_by(dimensions);
            }
        }
    }

    /// Groups by these tags too, but rows aren't sorted by them.
    pub(super) fn carry(&mut self, tags: &[Box<str>]) {
        let all: std::collections::BTreeSet<Box<str>> = self.dimensions.iter().chain(tags).cloned().collect();
        self.dimensions = all.into_iter().collect();
        for table in self.sources.iter_mut().flat_map(|source| &mut source.tables) {
            if let Reader::Subquery(inner) = &mut table.reader {
                inner.carry(tags);
                let (before, after) = (Arc::clone(&table.schema), inner.dimensions.clone());
                table.schema = Arc::new(Schema { tags: after.clone(), fields: before.fields.clone() });
                table.move_tags(&|place| after.iter().position(|tag| *tag == before.tags[place]));
            }
            let tags = &table.schema.tags;
            table.dimensions = self.dimensions.iter().map(|dimension| tags.iter().position(|tag| tag == dimension)).collect();
        }
    }

    /// Which columns stand beside the calls.
    pub(super) fn aux(&self) -> Vec<usize> {
        (0..self.refs.len()).filter(|slot| self.refs[*slot].selected).collect()
    }
}

/// A range of times, its open end replaced.
pub(super) fn closed(time: (i64, i64), open_end: i64) -> (i64, i64) {
    if time.1 == MAX_TIME { (time.0, open_end) } else { time }
}

/// A measurement, or several of one name in different buckets.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) name: Arc<str>,
    pub(super) tables: Vec<Table>,
}

/// One measurement of one bucket.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) reader: Reader,
    pub(super) schema: Arc<Schema>,
    /// Fields to scan.
    pub(super) fields: Vec<Box<str>>,
    /// Where each of [`Select::refs`] is found.
    pub(super) places: Vec<Place>,
    /// Position of each dimension among the tags.
    pub(super) dimensions: Vec<Option<usize>>,
    /// The same of the tags that `top` and `bottom` tell points apart by, sorted by their names.
    pub(super) by: Vec<Option<usize>>,
    /// `WHERE` without time. Slots: `fields`, then the schema's tags.
    pub(super) condition: Option<Arc<Expr>>,
    /// What it says of series, as far as 1.x's index looks at it.
    pub(super) series: Option<Arc<Expr>>,
}

impl Table {
    /// Tags have other places.
    fn move_tags(&mut self, to: &impl Fn(usize) -> Option<usize>) {
        for place in &mut self.places {
            if let Place::Tag(tag) = place {
                *place = to(*tag).map_or(Place::Nowhere, Place::Tag);
            }
        }
        self.by = self.by.iter().map(|place| place.and_then(to)).collect();
        let fields = self.fields.len();
        let moved = |slot: usize| slot.checked_sub(fields).and_then(to).map_or(slot, |tag| fields + tag);
        self.condition = self.condition.as_ref().map(|condition| Arc::new(condition.renumbered(&moved)));
        self.series = self.series.as_ref().map(|series| Arc::new(series.renumbered(&moved)));
    }
}

/// Where a table's points come from.
#[derive(Clone)]
pub(super) enum Reader {
    Tables(Arc<dyn Tables>),
    /// A subquery over one measurement. Its columns are the fields, the tags that it groups by the tags.
    Subquery(Box<Select>),
}

/// Where a column is found in a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Position in the scanned fields.
    Field(usize),
    /// Position in the schema's tags.
    Tag(usize),
    Nowhere,
}

/// A field or a tag with its type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ref {
    pub(super) name: Box<str>,
    pub(super) kind: Type,
    /// Whether it is selected as such, not only a call's argument.
    pub(super) selected: bool,
    /// Whether it is the tag that the points have, which a subquery needn't give.
    pub(super) of_points: bool,
}

/// A selected column.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: Box<str>,
    pub(super) expr: Expr,
    pub(super) kind: Type,
    /// What a query around this one takes it for: mathematical functions seem to give what they take.
    pub(super) outside: Type,
    pub(super) seen: Seen,
}

/// What a query around this one knows of a column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    Always,
    /// Only where it is named: what `top` and `bottom` give beside their field.
    ByName,
    /// Its name was another's before it was made unique.
    Never,
}

/// A call of an aggregate, a selector or a transformation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) arg: Arg,
    /// Type of the argument and of the result.
    pub(super) input: Type,
    pub(super) output: Type,
}

/// What a call is applied to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arg {
    /// One of [`Select::refs`].
    Ref(usize),
    Call(Box<Call>),
}

impl Call {
    /// The column that is read in the end.
    pub(super) fn slot(&self) -> usize {
        match &self.arg {
            Arg::Ref(slot) => *slot,
            Arg::Call(call) => call.slot(),
        }
    }
}

/// A function with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Function {
    Count,
    Distinct,
    First,
    Integral {
        unit: i64,
    },
    Last,
    Max,
    Mean,
    Median,
    Min,
    Mode,
    Percentile(f64),
    /// So many points, chosen at random.
    Sample(usize),
    Spread,
    Stddev,
    Sum,
    /// `top` and `bottom`: so many points with the largest or smallest values. With `by`, one of each combination of these tags
    /// ([`Select::refs`]).
    Extremes {
        largest: bool,
        count: usize,
        by: Option<Vec<usize>>,
        /// The names of all that stands there: series are told apart by the tags that are called so, also where a field is shown.
        names: Vec<Box<str>>,
    },
    /// All points as they are: what transformations of a field work on.
    Points,
    CumulativeSum,
    Derivative {
        unit: i64,
        non_negative: bool,
    },
    Difference {
        non_negative: bool,
    },
    Elapsed {
        unit: i64,
    },
    MovingAverage(usize),
    /// `holt_winters`: what comes next, and with `fit` also what was expected so far.
    HoltWinters {
        horizon: usize,
        season: usize,
        fit: bool,
        /// From one point to the next.
        interval: i64,
    },
    Technical(Technical),
}

impl Function {
    pub(super) const fn is_selector(&self) -> bool {
        matches!(self, Self::First | Self::Last | Self::Max | Self::Min | Self::Percentile(_)) || self.keeps_times()
    }

    /// Whether it gives several points a window, each at its own time. Empty windows aren't filled then.
    pub(super) const fn keeps_times(&self) -> bool {
        matches!(self, Self::Sample(_) | Self::Extremes { .. })
    }

    /// Whether it makes a series of points from a series of points, instead of reducing windows.
    pub(super) const fn is_transformation(&self) -> bool {
        matches!(
            self,
            Self::CumulativeSum
                | Self::Derivative { .. }
                | Self::Difference { .. }
                | Self::Elapsed { .. }
                | Self::MovingAverage(_)
                | Self::HoltWinters { .. }
                | Self::Technical(_)
        )
    }
}

/// What empty windows get.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fill {
    Null,
    None,
    Previous,
    Linear,
    Number(Scalar),
}
