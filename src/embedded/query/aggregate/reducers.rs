//! What is remembered of a window, and how values change it. Ties are broken as 1.x breaks them.

use std::cmp::Ordering;

use super::reduce::Reducer;
use crate::embedded::query::value::{Kind, Number, Scalar, Type};

/// A single value as what plans are made of.
pub(super) fn scalar<K: Kind>(value: K::Owned) -> Scalar {
    Scalar::of(&K::build(vec![Some(value)]), 0)
}

#[derive(Default)]
pub(super) struct Count(i64);

impl<K: Kind> Reducer<K> for Count {
    fn push(&mut self, _: i64, _: K::Ref<'_>) -> bool {
        self.0 += 1;
        false
    }

    fn finish(self) -> (Option<i64>, Scalar) {
        (None, Scalar::Integer(self.0))
    }
}

pub(super) struct Sum<K: Number>(K::Owned);

impl<K: Number> Default for Sum<K> {
    fn default() -> Self {
        Self(K::zero())
    }
}

impl<K: Number> Reducer<K> for Sum<K> {
    fn push(&mut self, _: i64, value: K::Ref<'_>) -> bool {
        self.0 = K::add(self.0.clone(), value);
        false
    }

    fn finish(self) -> (Option<i64>, Scalar) {
        (None, scalar::<K>(self.0))
    }
}

pub(super) struct Mean<K: Number> {
    sum: K::Owned,
    count: u64,
}

impl<K: Number> Default for Mean<K> {
    fn default() -> Self {
        Self { sum: K::zero(), count: 0 }
    }
}

impl<K: Number> Reducer<K> for Mean<K> {
    fn push(&mut self, _: i64, value: K::Ref<'_>) -> bool {
        self.sum = K::add(self.sum.clone(), value);
        self.count += 1;
        false
    }

    fn finish(self) -> (Option<i64>, Scalar) {
        (None, Scalar::Float(K::to_f64(self.sum) / self.count as f64))
    }
}

pub(super) struct Spread<K: Number>(Option<(K::Owned, K::Owned)>);

impl<K: Number> Default for Spread<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Number> Reducer<K> for Spread<K> {
    fn push(&mut self, _: i64, value: K::Ref<'_>) -> bool {
        match &mut self.0 {
            None => self.0 = Some((value.clone(), value)),
            Some((min, max)) => {
                // One that is no number makes the result none.
                if K::unordered(min) {
                } else if K::unordered(&value) {
                    (*min, *max) = (value.clone(), value);
                } else if K::order(&value, min) == Ordering::Less {
                    *min = value;
                } else if K::order(&value, max) == Ordering::Greater {
                    *max = value;
                }
            }
        }
        false
    }

    fn finish(self) -> (Option<i64>, Scalar) {
        (None, self.0.map_or(Scalar::Null, |(min, max)| scalar::<K>(K::sub(max, min))))
    }
}

macro_rules! selector {
    ($(#[$doc:meta])* $name:ident, |$time:ident, $order:ident, $known:ident| $better:expr) => {
        $(#[$doc])*
        pub(super) struct $name<K: Kind>(Option<(i64, K::Owned)>);

        impl<K: Kind> Default for $name<K> {
            fn default() -> Self {
                Self(None)
            }
        }

        impl<K: Kind> Reducer<K> for $name<K> {
            fn push(&mut self, $time: i64, value: K::Ref<'_>) -> bool {
                let better = match &self.0 {
                    None => true,
                    Some(($known, held)) => {
                        let $known = *$known;
                        // How the new value compares with the held one, only computed where it is looked at.
                        let $order = || {
                            let value = K::own(value);
                            if K::unordered(&value) || K::unordered(held) { Ordering::Equal } else { K::order(&value, held) }
                        };
                        $better
                    }
                };
                if better {
                    self.0 = Some(($time, K::own(value)));
                }
                better
            }

            fn finish(self) -> (Option<i64>, Scalar) {
                self.0.map_or((None, Scalar::Null), |(time, value)| (Some(time), scalar::<K>(value)))
            }
        }
    };
}

selector!(
    /// The earliest; of several at that time the largest, but `false` before `true`.
    First,
    |time, order, known| time < known || time == known && order() == if K::TYPE == Type::Boolean { Ordering::Less } else { Ordering::Greater }
);
selector!(
    /// The latest; of several at that time the largest.
    Last,
    |time, order, known| time > known || time == known && order() == Ordering::Greater
);
selector!(
    /// The largest, of several the earliest.
    Max,
    |time, order, known| match order() {
        Ordering::Greater => true,
        Ordering::Equal => time < known,
        Ordering::Less => false,
    }
);
selector!(
    /// The smallest, of several the earliest.
    Min,
    |time, order, known| match order() {
        Ordering::Less => true,
        Ordering::Equal => time < known,
        Ordering::Greater => false,
    }
);
