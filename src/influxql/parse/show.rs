//! `SHOW`, in all its forms. Each form takes its own clauses, in this order.

use super::super::ast::{Limits4, OnAll, Show, ShowKind, WithKey};
use super::super::token::Kind;
use super::{Parser, Result};

/// Which clauses a form takes, behind `ON db`.
#[derive(Clone, Copy)]
struct Clauses {
    from: bool,
    with_key: With,
    condition: bool,
    group_by: bool,
    order_by: bool,
    limits: bool,
    series_limits: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum With {
    No,
    Optional,
    Required,
}

const LIST: Clauses = Clauses {
    from: true,
    with_key: With::No,
    condition: true,
    group_by: false,
    order_by: true,
    limits: true,
    series_limits: false,
};
const CARDINALITY: Clauses = Clauses { group_by: true, order_by: false, ..LIST };

impl Parser<'_> {
    /// What follows the keyword `SHOW`.
    pub(super) fn show(&mut self) -> Result<Show> {
        let token = self.next();
        match token.kind {
            Kind::Continuous => {
                self.expect(Kind::Queries)?;
                Ok(bare(ShowKind::ContinuousQueries))
            }
            Kind::Databases => Ok(bare(ShowKind::Databases)),
            Kind::Diagnostics => Ok(bare(ShowKind::Diagnostics(self.module()?))),
            Kind::Field => {
                let token = self.next();
                match token.kind {
                    Kind::Key => {
                        let exact = self.exact_cardinality()?;
                        self.clauses(ShowKind::FieldKeyCardinality { exact }, CARDINALITY)
                    }
                    Kind::Keys => self.clauses(ShowKind::FieldKeys, Clauses { condition: false, ..LIST }),
                    _ => Err(self.unexpected(token, &["KEY", "KEYS"])),
                }
            }
            Kind::Grants => {
                self.expect(Kind::For)?;
                Ok(bare(ShowKind::Grants(self.ident()?)))
            }
            Kind::Measurement => {
                let token = self.next();
                let exact = match token.kind {
                    Kind::Exact => {
                        self.expect(Kind::Cardinality)?;
                        true
                    }
                    Kind::Cardinality => false,
                    _ => return Err(self.unexpected(token, &["EXACT", "CARDINALITY"])),
                };
                self.clauses(ShowKind::MeasurementCardinality { exact }, CARDINALITY)
            }
            Kind::Measurements => self.show_measurements(),
            Kind::Queries => Ok(bare(ShowKind::Queries)),
            Kind::Retention => {
                self.expect(Kind::Policies)?;
                Ok(Show { database: self.on()?, ..bare(ShowKind::RetentionPolicies) })
            }
            Kind::Series => {
                let exact = self.eat(Kind::Exact).is_some();
                if self.eat(Kind::Cardinality).is_some() {
                    return self.clauses(ShowKind::SeriesCardinality { exact }, CARDINALITY);
                }
                self.clauses(ShowKind::Series, LIST)
            }
            Kind::Shard => {
                self.expect(Kind::Groups)?;
                Ok(bare(ShowKind::ShardGroups))
            }
            Kind::Shards => Ok(bare(ShowKind::Shards)),
            Kind::Stats => Ok(bare(ShowKind::Stats(self.module()?))),
            Kind::Subscriptions => Ok(bare(ShowKind::Subscriptions)),
            Kind::Tag => self.show_tag(),
            Kind::Users => Ok(bare(ShowKind::Users)),
            _ => Err(self.unexpected(
                token,
                &[
                    "CONTINUOUS",
                    "DATABASES",
                    "DIAGNOSTICS",
                    "FIELD",
                    "GRANTS",
                    "MEASUREMENT",
                    "MEASUREMENTS",
                    "QUERIES",
                    "RETENTION",
                    "SERIES",
                    "SHARD",
                    "SHARDS",
                    "STATS",
                    "SUBSCRIPTIONS",
                    "TAG",
                    "USERS",
                ],
            )),
        }
    }

    fn show_tag(&mut self) -> Result<Show> {
        let token = self.next();
        match token.kind {
            Kind::Key => {
                let exact = self.exact_cardinality()?;
                self.clauses(ShowKind::TagKeyCardinality { exact }, CARDINALITY)
            }
            Kind::Keys => self.clauses(ShowKind::TagKeys, Clauses { with_key: With::Optional, series_limits: true, ..LIST }),
            Kind::Values => {
                let exact = self.eat(Kind::Exact).is_some();
                if exact {
                    self.expect(Kind::Cardinality)?;
                }
                if exact || self.eat(Kind::Cardinality).is_some() {
                    let clauses = Clauses { with_key: With::Required, ..CARDINALITY };
                    return self.clauses(ShowKind::TagValuesCardinality { exact }, clauses);
                }
                self.clauses(ShowKind::TagValues, Clauses { with_key: With::Required, ..LIST })
            }
            _ => Err(self.unexpected(token, &["KEY", "KEYS", "VALUES"])),
        }
    }

    /// `[EXACT] CARDINALITY`
    fn exact_cardinality(&mut self) -> Result<bool> {
        let exact = self.eat(Kind::Exact).is_some();
        let token = self.next();
        match token.kind {
            Kind::Cardinality => Ok(exact),
            _ if exact => Err(self.unexpected(token, &["CARDINALITY"])),
            _ => Err(self.unexpected(token, &["EXACT", "CARDINALITY"])),
        }
    }

    /// `[FOR 'module']`
    fn module(&mut self) -> Result<Option<Box<str>>> {
        self.eat(Kind::For).map(|_| self.string()).transpose()
    }

    fn clauses(&mut self, kind: ShowKind, clauses: Clauses) -> Result<Show> {
        let mut show = bare(kind);
        show.database = self.on()?;
        if clauses.from && self.eat(Kind::From).is_some() {
            show.from = self.sources(false)?;
        }
        let with_key = match clauses.with_key {
            With::No => false,
            With::Optional => self.peek().kind == Kind::With,
            With::Required => true,
        };
        if with_key {
            show.with_key = Some(self.with_key()?);
        }
        self.tail(&mut show, clauses)?;
        Ok(show)
    }

    fn tail(&mut self, show: &mut Show, clauses: Clauses) -> Result<()> {
        if clauses.condition {
            show.condition = self.condition()?;
        }
        if clauses.group_by {
            show.group_by = self.group_by()?;
        }
        if clauses.order_by {
            show.order_by = self.order_by()?;
        }
        if clauses.limits {
            show.limits = self.limits(clauses.series_limits)?;
        }
        Ok(())
    }

    /// `SHOW MEASUREMENTS [ON db | *[.rp | .*]] [WITH MEASUREMENT …] …`
    fn show_measurements(&mut self) -> Result<Show> {
        let mut show = bare(ShowKind::Measurements);
        if self.eat(Kind::On).is_some() {
            (show.database, show.on_all.databases) = self.name_or_all()?;
            if self.eat(Kind::Dot).is_some() {
                (show.retention_policy, show.on_all.retention_policies) = self.name_or_all()?;
            }
        }
        if self.eat(Kind::With).is_some() {
            self.expect(Kind::Measurement)?;
            let token = self.next();
            if !matches!(token.kind, Kind::Eq | Kind::EqRegex) {
                return Err(self.unexpected(token, &["=", "=~"]));
            }
            show.with_measurement = Some(self.measurement()?);
        }
        self.tail(&mut show, LIST)?;
        Ok(show)
    }

    fn name_or_all(&mut self) -> Result<(Option<super::Ident>, bool)> {
        let token = self.next();
        match token.kind {
            Kind::Ident => Ok((Some(self.ident_of(token)), false)),
            Kind::Mul => Ok((None, true)),
            _ => Err(self.unexpected(token, &["identifier or *"])),
        }
    }

    /// `WITH KEY …`
    fn with_key(&mut self) -> Result<WithKey> {
        self.expect(Kind::With)?;
        self.expect(Kind::Key)?;
        let token = self.next();
        match token.kind {
            Kind::In => {
                self.expect(Kind::LParen)?;
                let keys = self.ident_list()?;
                self.expect(Kind::RParen)?;
                Ok(WithKey::In(keys))
            }
            Kind::Eq => Ok(WithKey::Eq(self.ident()?)),
            Kind::NotEq => Ok(WithKey::NotEq(self.ident()?)),
            Kind::EqRegex => Ok(WithKey::Regex(self.required_regex()?)),
            Kind::NotEqRegex => Ok(WithKey::NotRegex(self.required_regex()?)),
            _ => Err(self.unexpected(token, &["IN", "=", "=~"])),
        }
    }
}

fn bare(kind: ShowKind) -> Show {
    Show {
        kind,
        database: None,
        retention_policy: None,
        on_all: OnAll::default(),
        with_measurement: None,
        from: Vec::new(),
        with_key: None,
        condition: None,
        group_by: Vec::new(),
        order_by: None,
        limits: Limits4::default(),
    }
}
