//! Statements that change or administrate: `CREATE`, `ALTER`, `DROP`, `DELETE`, `GRANT`, `REVOKE`, `SET PASSWORD`, `KILL QUERY`.

use super::super::ast::{
    CreateContinuousQuery, CreateDatabase, CreateSubscription, CreateUser, Dimension, DropSubscription, Expr, Grant, Ident,
    KillQuery, Measurement, NamedOn, Privilege, RetentionOptions, RetentionPolicySpec, Select, SeriesSelection, SetPassword,
    Source, StatementKind,
};
use super::super::duration::format_duration;
use super::super::token::Kind;
use super::{Parser, Result, select, span};

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<StatementKind> {
        let token = self.next();
        match token.kind {
            Kind::Continuous => {
                self.expect(Kind::Query)?;
                Ok(StatementKind::CreateContinuousQuery(Box::new(self.continuous_query()?)))
            }
            Kind::Database => Ok(StatementKind::CreateDatabase(self.create_database()?)),
            Kind::User => Ok(StatementKind::CreateUser(self.create_user()?)),
            Kind::Retention => {
                self.expect(Kind::Policy)?;
                Ok(StatementKind::CreateRetentionPolicy(self.create_policy()?))
            }
            Kind::Subscription => Ok(StatementKind::CreateSubscription(self.create_subscription()?)),
            _ => Err(self.unexpected(token, &["CONTINUOUS", "DATABASE", "USER", "RETENTION", "SUBSCRIPTION"])),
        }
    }

    fn named_on(&mut self) -> Result<NamedOn> {
        let name = self.ident()?;
        self.expect(Kind::On)?;
        Ok(NamedOn { name, database: self.ident()? })
    }

    fn create_database(&mut self) -> Result<CreateDatabase> {
        let name = self.ident()?;
        if self.eat(Kind::With).is_none() {
            return Ok(CreateDatabase { name, with: None, retention_policy: None });
        }
        let token = self.peek();
        let known = [Kind::Duration, Kind::Name, Kind::Replication, Kind::Shard];
        if !known.contains(&token.kind) && self.write_limit_word(token).is_none() {
            return Err(self.unexpected(token, &["DURATION", "NAME", "REPLICATION", "SHARD"]));
        }
        let mut with = RetentionOptions::default();
        if self.eat(Kind::Duration).is_some() {
            with.duration = Some(self.duration()?);
        }
        if self.eat(Kind::Replication).is_some() {
            with.replication = Some(self.replication()?);
        }
        if self.eat(Kind::Shard).is_some() {
            self.expect(Kind::Duration)?;
            with.shard_duration = Some(self.duration()?);
        }
        self.write_limits(&mut with)?;
        let retention_policy = match self.eat(Kind::Name) {
            Some(_) => Some(self.ident()?),
            None => None,
        };
        Ok(CreateDatabase { name, with: Some(with), retention_policy })
    }

    fn create_policy(&mut self) -> Result<RetentionPolicySpec> {
        let NamedOn { name, database } = self.named_on()?;
        let mut options = RetentionOptions::default();
        self.expect(Kind::Duration)?;
        options.duration = Some(self.duration()?);
        self.expect(Kind::Replication)?;
        options.replication = Some(self.replication()?);
        if self.eat(Kind::Shard).is_some() {
            options.shard_duration = Some(self.shard_duration()?);
        }
        let default = self.eat(Kind::Default).is_some();
        self.write_limits(&mut options)?;
        Ok(RetentionPolicySpec { name, database, options, default })
    }

    pub(super) fn alter(&mut self) -> Result<StatementKind> {
        self.expect(Kind::Retention)?;
        self.expect(Kind::Policy)?;
        let token = self.next();
        let name = match token.kind {
            Kind::Default => Ident { name: "default".into(), span: span(token) },
            Kind::Ident => self.ident_of(token),
            _ => return Err(self.unexpected(token, &["identifier"])),
        };
        self.expect(Kind::On)?;
        let database = self.ident()?;
        let mut options = RetentionOptions::default();
        let mut default = false;
        loop {
            let token = self.peek();
            let limit = self.write_limit_word(token);
            let (taken, word) = match (token.kind, limit) {
                (Kind::Duration, _) => (options.duration.is_some(), "DURATION"),
                (Kind::Replication, _) => (options.replication.is_some(), "REPLICATION"),
                (Kind::Shard, _) => (options.shard_duration.is_some(), "SHARD"),
                (Kind::Default, _) => (default, "DEFAULT"),
                (_, Some(true)) => (options.future_limit.is_some(), "FUTURE"),
                (_, Some(false)) => (options.past_limit.is_some(), "PAST"),
                _ if options == RetentionOptions::default() && !default => {
                    return Err(self.unexpected(token, &["DURATION", "REPLICATION", "SHARD", "DEFAULT"]));
                }
                _ => break,
            };
            if taken {
                return Err(self.error_at(token, &format!("found duplicate {word} option")));
            }
            self.take(token);
            match (token.kind, limit) {
                (Kind::Duration, _) => options.duration = Some(self.duration()?),
                (Kind::Replication, _) => options.replication = Some(self.replication()?),
                (Kind::Shard, _) => options.shard_duration = Some(self.shard_duration()?),
                (_, Some(true)) => options.future_limit = Some(self.write_limit()?),
                (_, Some(false)) => options.past_limit = Some(self.write_limit()?),
                _ => default = true,
            }
        }
        Ok(StatementKind::AlterRetentionPolicy(RetentionPolicySpec { name, database, options, default }))
    }

    /// Whether the token is `FUTURE` (true) or `PAST` (false), which are no keywords, so that they stay free as names.
    fn write_limit_word(&self, token: super::Token) -> Option<bool> {
        if token.kind != Kind::Ident || token.end - token.start > 6 {
            return None;
        }
        let text = span(token).slice(self.lexer.text);
        if text.eq_ignore_ascii_case("future") { Some(true) } else { text.eq_ignore_ascii_case("past").then_some(false) }
    }

    /// `[FUTURE LIMIT d] [PAST LIMIT d]`
    fn write_limits(&mut self, options: &mut RetentionOptions) -> Result<()> {
        for (future, slot) in [(true, &mut options.future_limit), (false, &mut options.past_limit)] {
            let token = self.peek();
            if self.write_limit_word(token) == Some(future) {
                self.take(token);
                *slot = Some(self.write_limit()?);
            }
        }
        Ok(())
    }

    fn write_limit(&mut self) -> Result<i64> {
        self.expect(Kind::Limit)?;
        self.duration()
    }

    /// `DURATION d` behind `SHARD`; never `INF`.
    fn shard_duration(&mut self) -> Result<i64> {
        self.expect(Kind::Duration)?;
        let token = self.peek();
        if token.kind == Kind::Inf {
            return Err(self.error_at(token, "invalid duration INF for shard duration"));
        }
        self.duration()
    }

    /// A duration or `INF`, which is 0.
    fn duration(&mut self) -> Result<i64> {
        let token = self.next();
        match token.kind {
            Kind::Inf => Ok(0),
            Kind::DurationVal => self.duration_of(token).map_err(|error| self.error_at(token, &error.message)),
            _ => Err(self.unexpected(token, &["duration"])),
        }
    }

    /// A replication factor, 1 to 2³¹ − 1.
    fn replication(&mut self) -> Result<u64> {
        const MAX: i64 = i32::MAX as i64;
        let (token, text) = self.integer_text()?;
        match text.parse::<i64>() {
            Ok(n) if (1..=MAX).contains(&n) => Ok(n.unsigned_abs()),
            Ok(n) => Err(self.error_at(token, &format!("invalid value {n}: must be 1 <= n <= {MAX}"))),
            Err(_) => {
                let message = format!("strconv.Atoi: parsing \"{text}\": value out of range");
                Err(self.error_at(token, &message))
            }
        }
    }

    fn id(&mut self) -> Result<u64> {
        let (token, text) = self.integer_text()?;
        text.parse().map_err(|_| {
            let why = if text.starts_with('-') { "invalid syntax" } else { "value out of range" };
            self.error_at(token, &format!("strconv.ParseUint: parsing \"{text}\": {why}"))
        })
    }

    fn create_user(&mut self) -> Result<CreateUser> {
        let name = self.ident()?;
        self.expect(Kind::With)?;
        self.expect(Kind::Password)?;
        let password = self.string()?;
        let admin = self.eat(Kind::With).is_some();
        if admin {
            self.expect(Kind::All)?;
            self.expect(Kind::Privileges)?;
        }
        Ok(CreateUser { name, password, admin })
    }

    /// `name ON db.rp`
    fn named_on_policy(&mut self) -> Result<DropSubscription> {
        let NamedOn { name, database } = self.named_on()?;
        self.expect_raw(Kind::Dot)?;
        Ok(DropSubscription { name, database, retention_policy: self.ident()? })
    }

    fn create_subscription(&mut self) -> Result<CreateSubscription> {
        let DropSubscription { name, database, retention_policy } = self.named_on_policy()?;
        self.expect(Kind::Destinations)?;
        let token = self.next();
        let all = match token.kind {
            Kind::All => true,
            Kind::Any => false,
            _ => return Err(self.unexpected(token, &["ALL", "ANY"])),
        };
        let mut destinations = vec![self.string()?];
        while self.eat(Kind::Comma).is_some() {
            destinations.push(self.string()?);
        }
        Ok(CreateSubscription { name, database, retention_policy, all, destinations })
    }

    fn continuous_query(&mut self) -> Result<CreateContinuousQuery> {
        let NamedOn { name, database } = self.named_on()?;
        let (mut every, mut resample_for) = (None, None);
        if self.eat(Kind::Resample).is_some() {
            every = self.resample(Kind::Every)?;
            resample_for = self.resample(Kind::For)?;
            if every.unwrap_or(0) == 0 && resample_for.unwrap_or(0) == 0 {
                let token = self.next();
                return Err(self.unexpected(token, &["EVERY", "FOR"]));
            }
        }
        self.expect(Kind::Begin)?;
        let token = self.expect(Kind::Select)?;
        let select = self.select(token.start, select::Into::Required)?;
        let interval = interval(&select);
        if interval == 0 && select.fields.iter().any(|field| has_call(&field.expr)) {
            self.peek();
            let blamed = self.last_token(token.start);
            return Err(self.unexpected(blamed, &["GROUP BY time(...)"]));
        }
        self.expect(Kind::End)?;
        if let Some(window) = resample_for.filter(|window| *window != 0) {
            let least = interval.max(every.unwrap_or(0));
            if least > window {
                let message = format!(
                    "FOR duration must be >= GROUP BY time duration: must be a minimum of {}, got {}",
                    format_duration(least),
                    format_duration(window)
                );
                return Err(Self::plain_error(message, self.since(token.start)));
            }
        }
        Ok(CreateContinuousQuery { name, database, every, resample_for, select })
    }

    fn resample(&mut self, keyword: Kind) -> Result<Option<i64>> {
        if self.eat(keyword).is_none() {
            return Ok(None);
        }
        if self.peek().kind == Kind::Inf {
            let token = self.next();
            return Err(self.unexpected(token, &["duration"]));
        }
        self.duration().map(Some)
    }

    pub(super) fn drop_statement(&mut self) -> Result<StatementKind> {
        let token = self.next();
        match token.kind {
            Kind::Continuous => {
                self.expect(Kind::Query)?;
                Ok(StatementKind::DropContinuousQuery(self.named_on()?))
            }
            Kind::Database => Ok(StatementKind::DropDatabase(self.ident()?)),
            Kind::Measurement => Ok(StatementKind::DropMeasurement(self.ident()?)),
            Kind::Retention => {
                self.expect(Kind::Policy)?;
                Ok(StatementKind::DropRetentionPolicy(self.named_on()?))
            }
            Kind::Series => Ok(StatementKind::DropSeries(self.series_selection(true)?)),
            Kind::Shard => Ok(StatementKind::DropShard(self.id()?)),
            Kind::Subscription => Ok(StatementKind::DropSubscription(self.named_on_policy()?)),
            Kind::User => Ok(StatementKind::DropUser(self.ident()?)),
            _ => Err(self.unexpected(
                token,
                &["CONTINUOUS", "DATABASE", "MEASUREMENT", "RETENTION", "SERIES", "SHARD", "SUBSCRIPTION", "USER"],
            )),
        }
    }

    pub(super) fn delete(&mut self) -> Result<StatementKind> {
        Ok(StatementKind::Delete(self.series_selection(false)?))
    }

    /// `[FROM measurements] [WHERE …]`, of which one must be there.
    fn series_selection(&mut self, _drop: bool) -> Result<SeriesSelection> {
        let first = self.peek();
        let mut from = Vec::new();
        if self.eat(Kind::From).is_some() {
            for source in self.sources(false)? {
                if let Source::Measurement(measurement) = source {
                    from.push(measurement);
                }
            }
            if let Some(refused) = from.iter().rev().find_map(unsupported) {
                return Err(Self::plain_error(refused, self.since(first.start)));
            }
        }
        let condition = self.condition()?;
        if condition.is_none() && from.is_empty() {
            return Err(self.unexpected(first, &["FROM", "WHERE"]));
        }
        Ok(SeriesSelection { from, condition })
    }

    fn privilege(&mut self) -> Result<Privilege> {
        let token = self.next();
        match token.kind {
            Kind::Read => Ok(Privilege::Read),
            Kind::Write => Ok(Privilege::Write),
            Kind::All => {
                self.eat(Kind::Privileges);
                Ok(Privilege::All)
            }
            _ => Err(self.unexpected(token, &["READ", "WRITE", "ALL [PRIVILEGES]"])),
        }
    }

    pub(super) fn grant(&mut self) -> Result<StatementKind> {
        self.granted(Kind::To).map(StatementKind::Grant)
    }

    pub(super) fn revoke(&mut self) -> Result<StatementKind> {
        self.granted(Kind::From).map(StatementKind::Revoke)
    }

    /// `privilege [ON db] TO|FROM user`; without a database, all privileges only.
    fn granted(&mut self, towards: Kind) -> Result<Grant> {
        let privilege = self.privilege()?;
        let token = self.next();
        let database = if token.kind == Kind::On {
            let database = self.ident()?;
            self.expect(towards)?;
            Some(database)
        } else if privilege != Privilege::All {
            return Err(self.unexpected(token, &["ON"]));
        } else if token.kind != towards {
            return Err(self.unexpected(token, &["ON", towards.name()]));
        } else {
            None
        };
        Ok(Grant { privilege, database, user: self.ident()? })
    }

    pub(super) fn set_password(&mut self) -> Result<StatementKind> {
        self.expect(Kind::Password)?;
        self.expect(Kind::For)?;
        let name = self.ident()?;
        self.expect(Kind::Eq)?;
        Ok(StatementKind::SetPassword(SetPassword { name, password: self.string()? }))
    }

    pub(super) fn kill(&mut self) -> Result<StatementKind> {
        self.expect(Kind::Query)?;
        let id = self.id()?;
        Ok(StatementKind::KillQuery(KillQuery { id, host: self.on()? }))
    }
}

/// Why `DELETE` and `DROP SERIES` don't take this: they work on the whole of the selected database.
fn unsupported(measurement: &Measurement) -> Option<&'static str> {
    if measurement.retention_policy.is_some() {
        return Some("retention policy not supported at line 1, char 1");
    }
    measurement.database.is_some().then_some("database not supported at line 1, char 1")
}

/// Width of `GROUP BY time(…)`, 0 when there is none.
fn interval(select: &Select) -> i64 {
    let width = |dimension: &Dimension| match dimension {
        Dimension::Time { interval, .. } => Some(*interval),
        _ => None,
    };
    select.group_by.iter().find_map(width).unwrap_or(0)
}

fn has_call(expr: &Expr) -> bool {
    match expr {
        Expr::Call(_) => true,
        Expr::Binary(binary) => has_call(&binary.left) || has_call(&binary.right),
        Expr::Paren(inner, _) => has_call(inner),
        _ => false,
    }
}
