//! What is done for each statement of a query, decided before any of them runs.

use std::collections::{BTreeMap, VecDeque};

use super::{
    layer::Shared,
    provision, show,
    statement::{self, Defaults, Need, Place},
    users,
    whole::{Whole, estimated, is_about_database},
};
use crate::{
    access::{Identity, Permission, require, require_all},
    call::{Action, ApprovedStatement, Query},
    config::{self, Config},
    dbrp::{Change, Mapping, Resolver},
    error::{Error, Kind},
    influxql::{
        Statement, StatementKind,
        ast::{Ident, Limits4, NamedOn, OnAll, RetentionPolicySpec, Select, Show, ShowKind},
        is_read_only, validate,
    },
    native::{Api, Target},
    respond::{self, Answer, Event, Message},
    types::Profile,
};

const POLICY_NOT_FOUND: &str = "retention policy not found";

/// One statement's way to its answer.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) answer: Answer,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Its result is empty.
    Nothing,
    /// Its rows are known.
    Known(VecDeque<Event>),
    /// It fails.
    Fail(String),
    /// It was refused before anything ran: that is said whatever became of the statements in front of it.
    Refused(String),
    /// The service below is asked.
    Ask(Box<Ask>),
    /// `SHOW MEASUREMENTS` of several retention policies: each is asked.
    Measurements(Box<Measurements>),
    /// The service below is asked several times, for answers that say nothing but that it is done.
    Each(Vec<Ask>),
    /// Several buckets are one database.
    Whole(Whole),
    /// The management API of the service below is used.
    Change(Box<Change>),
}

/// What the service below is asked.
#[derive(Debug)]
pub(super) struct Ask {
    /// Empty when none is needed.
    pub(super) bucket: Box<str>,
    /// v1's name of the database, for errors.
    pub(super) database: Box<str>,
    /// With buckets for names.
    pub(super) statement: Statement,
    /// Buckets of the same databases, where the service below is told.
    pub(super) siblings: BTreeMap<Box<str>, Vec<Box<str>>>,
}

/// `SHOW MEASUREMENTS ON db.rp | db.* | *.*`
#[derive(Debug)]
pub(super) struct Measurements {
    /// With what v1 calls their places: database and retention policy.
    pub(super) asks: Vec<(Box<str>, Box<str>, Ask)>,
    /// They count for all rows together.
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl Ask {
    /// The selection, for those who need to know the columns.
    pub(super) fn select(&self) -> Option<&Select> {
        match &self.statement.kind {
            StatementKind::Select(select) => Some(select),
            _ => None,
        }
    }
}

/// Plans all statements. Fails when any of them may not run: nothing has been done then.
pub(super) async fn plan(
    statements: &[ApprovedStatement],
    query: &Query,
    identity: &Identity,
    config: &Config,
    shared: &Shared,
) -> Result<VecDeque<Step>, Error> {
    let planner = Planner {
        query,
        identity,
        target: shared.target,
        auth: &config.auth,
        profile: config.compat.profile,
        can_list: shared.catalog(config).is_some(),
        resolver: resolver(config, shared),
    };
    let mut steps = VecDeque::with_capacity(statements.len().max(1));
    for (id, approved) in statements.iter().enumerate() {
        let step = planner.step(approved).await.map_err(|error| error.in_statement(id))?;
        steps.push_back(step);
    }
    if steps.is_empty() {
        // Grafana and others look at the first result without asking whether there is one.
        steps.push_back(Step { answer: Answer::default(), work: Work::Nothing });
    }
    Ok(steps)
}

/// What a statement about a database that isn't there answers, where that is no error.
fn without_database(show: &Show) -> Option<Work> {
    match show.kind {
        ShowKind::Measurements => Some(Work::Nothing),
        _ if estimated(show).is_some() => Some(Work::Known(show::cardinality(0))),
        _ => None,
    }
}

pub(super) fn resolver<'a>(config: &'a Config, shared: &'a Shared) -> Resolver<'a> {
    Resolver {
        table: &config.dbrp.mappings,
        template: &config.dbrp.template,
        template_rp: &config.dbrp.template_rp,
        auto_create: config.dbrp.auto_create,
        profile: config.compat.profile,
        catalog: shared.catalog(config),
    }
}

struct Planner<'a> {
    query: &'a Query,
    identity: &'a Identity,
    target: Target,
    auth: &'a config::Auth,
    profile: Profile,
    can_list: bool,
    resolver: Resolver<'a>,
}

impl Planner<'_> {
    async fn step(&self, approved: &ApprovedStatement) -> Result<Step, Error> {
        let statement = &approved.statement;
        let mut answer = Answer { messages: self.messages(statement), ..Answer::default() };
        let work = match &approved.action {
            Action::Refuse(message) => {
                answer.messages.clear();
                Work::Refused(message.to_string())
            }
            Action::Fail(message) => {
                answer.messages.clear();
                Work::Fail(message.to_string())
            }
            Action::Ack => Work::Nothing,
            Action::Forward => self.forward(statement, &mut answer).await?,
            Action::Provision => match self.provision(statement)? {
                Some(work) => work,
                None => self.forward(statement, &mut answer).await?,
            },
        };
        Ok(Step { answer, work })
    }

    /// What is about databases and retention policies and isn't run below.
    fn provision(&self, statement: &Statement) -> Result<Option<Work>, Error> {
        if self.target.full_influxql {
            // It takes the statement as it is.
            return Ok(None);
        }
        let change = match provision::change(&statement.kind) {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(Work::Fail(error.message().into()))),
        };
        self.require_all()?;
        Ok(Some(self.configured(&statement.kind).unwrap_or_else(|| Work::Change(Box::new(change)))))
    }

    /// 1.x's warning to those who change something by `GET`.
    fn messages(&self, statement: &Statement) -> Vec<Message> {
        if !self.query.read_only || is_read_only(statement) {
            return Vec::new();
        }
        let text = format!("deprecated use of '{statement}' in a read only context, please use a POST request instead");
        vec![Message { level: "warning", text }]
    }

    async fn forward(&self, statement: &Statement, answer: &mut Answer) -> Result<Work, Error> {
        let defaults = Defaults { db: self.query.db.as_deref(), rp: self.query.rp.as_deref() };
        if let StatementKind::Show(show) = &statement.kind
            && show.kind == ShowKind::Measurements
            && (show.on_all.databases || show.on_all.retention_policies || show.retention_policy.is_some())
            && self.target.full_influxql
        {
            return self.measurements(statement, show).await;
        }
        match statement::need(&statement.kind, defaults) {
            Need::Nothing(why) => Ok(Work::Fail(why.into())),
            Need::Databases => Ok(Work::Known(show::databases(&self.list().await?))),
            Need::RetentionPolicies(db) => self.retention_policies(&db).await,
            Need::Users => {
                self.require_all()?;
                Ok(Work::Known(users::users(self.auth)))
            }
            Need::Grants(user) => {
                self.require_all()?;
                Ok(match users::grants(self.auth, &user, &self.list().await?) {
                    Some(events) => Work::Known(events),
                    None => Work::Fail("user not found".into()),
                })
            }
            Need::ContinuousQueries => Ok(Work::Known(show::continuous_queries(&self.list().await?))),
            Need::Subscriptions => {
                self.require_all()?;
                Ok(Work::Nothing)
            }
            Need::Database(db) => self.database(statement, &db).await,
            Need::Everything => {
                self.require_all()?;
                if let Some(work) = self.configured(&statement.kind) {
                    return Ok(work);
                }
                let bucket = match defaults.db {
                    Some(db) => self.resolver.resolve(self.identity, db, defaults.rp).await?.bucket().unwrap_or_default().into(),
                    None => "".into(),
                };
                Ok(Work::Ask(Box::new(Ask {
                    bucket,
                    database: defaults.db.unwrap_or_default().into(),
                    statement: statement.clone(),
                    siblings: BTreeMap::new(),
                })))
            }
            Need::Places(places) => self.places(statement, &places, defaults, answer).await,
        }
    }

    /// As InfluxDB 1.8.10 and 2.x answer it.
    async fn measurements(&self, statement: &Statement, show: &Show) -> Result<Work, Error> {
        if show.on_all.databases && !show.on_all.retention_policies {
            let on = if show.retention_policy.is_some() { "*.rp" } else { "*" };
            let message = format!("query 'SHOW MEASUREMENTS ON {on}' not supported. use 'ON *.*' or specify a database");
            return Ok(Work::Fail(message));
        }
        let asked = |mapping: &Mapping| {
            show.database.as_ref().is_none_or(|database| database.name == mapping.database)
                && show.retention_policy.as_ref().is_none_or(|rp| rp.name == mapping.retention_policy)
        };
        let mappings = self.list().await?.into_iter().filter(asked);
        let asks = mappings.map(|mapping| {
            let mut show = Box::new(show.clone());
            (show.database, show.retention_policy) = (None, None);
            (show.on_all, show.limits) = (OnAll::default(), Limits4::default());
            let statement = Statement { kind: StatementKind::Show(show), span: statement.span };
            let database = mapping.database.clone();
            let ask = Ask { bucket: mapping.bucket, database, statement, siblings: BTreeMap::new() };
            (mapping.database, mapping.retention_policy, ask)
        });
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Ok(Work::Measurements(Box::new(Measurements {
            asks: asks.collect(),
            limit: show.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size),
            offset: show.limits.offset.map_or(0, size),
        })))
    }

    fn require_all(&self) -> Result<(), Error> {
        require_all(self.identity, "execute this statement")
    }

    async fn list(&self) -> Result<Vec<Mapping>, Error> {
        self.resolver.list(self.identity).await
    }

    async fn retention_policies(&self, db: &str) -> Result<Work, Error> {
        if let Some(events) = show::retention_policies(&self.list().await?, db) {
            return Ok(Work::Known(events));
        }
        if !self.can_list {
            // Its name is made by template, so it may well be there.
            self.resolver.for_read(self.identity, db, None).await?;
            return Ok(Work::Known(show::autogen()));
        }
        Ok(Work::Fail(format!("database not found: {db}")))
    }

    /// The other buckets of the databases of these places, as far as the caller may read them.
    async fn siblings(&self, buckets: &[Box<str>], places: &[Place]) -> Result<BTreeMap<Box<str>, Vec<Box<str>>>, Error> {
        let all = self.list().await?;
        let mut siblings = BTreeMap::new();
        for (bucket, place) in buckets.iter().zip(places) {
            let others = all.iter().filter(|mapping| mapping.database == place.db && mapping.bucket != *bucket);
            let others: Vec<Box<str>> = others.map(|mapping| mapping.bucket.clone()).collect();
            if !others.is_empty() {
                siblings.insert(bucket.clone(), others);
            }
        }
        Ok(siblings)
    }

    /// Asks every bucket of a database, one after the other.
    async fn database(&self, statement: &Statement, db: &str) -> Result<Work, Error> {
        let rows = self.resolver.list_all(self.identity).await?;
        let mut buckets: Vec<Box<str>> = rows.into_iter().filter(|row| &*row.database == db).map(|row| row.bucket).collect();
        if buckets.is_empty() {
            // Its name may be made by template; what isn't there isn't made for this.
            let resolver = Resolver { auto_create: false, ..self.resolver };
            match resolver.for_write(self.identity, db, None).await {
                Ok(bucket) => buckets.push(bucket),
                Err(error) if self.profile == Profile::V1 && error.kind() == Kind::NotFound => {
                    return Ok(Work::Fail(format!("database not found: {db}")));
                }
                Err(error) => return Err(error),
            }
        }
        buckets.sort_unstable();
        buckets.dedup();
        for bucket in &buckets {
            require(self.identity, bucket, db, Permission::Write)?;
        }
        let ask = |bucket| Ask { bucket, database: db.into(), siblings: BTreeMap::new(), statement: statement.clone() };
        Ok(Work::Each(buckets.into_iter().map(ask).collect()))
    }

    /// What becomes of a statement that would change what the configuration says.
    fn configured(&self, kind: &StatementKind) -> Option<Work> {
        let table = self.resolver.table;
        let mapped = |db: &Ident| !table.database(&db.name).is_empty();
        let policy = |db: &Ident, name: &Ident| table.get(&db.name, Some(&name.name)).is_some();
        let fail = |what: String| Some(Work::Fail(format!("{what} by the configuration ([[dbrp]])")));
        match kind {
            StatementKind::CreateDatabase(create) if mapped(&create.name) => match create.with {
                None => Some(Work::Nothing),
                Some(_) => fail(format!("database {:?} is mapped", create.name.name)),
            },
            StatementKind::DropDatabase(db) if mapped(db) => fail(format!("database {:?} is mapped", db.name)),
            StatementKind::DropRetentionPolicy(NamedOn { name, database })
            | StatementKind::AlterRetentionPolicy(RetentionPolicySpec { name, database, .. })
            | StatementKind::CreateRetentionPolicy(RetentionPolicySpec { name, database, .. })
                if policy(database, name) =>
            {
                fail(format!("retention policy {:?} of database {:?} is mapped", name.name, database.name))
            }
            StatementKind::AlterRetentionPolicy(spec) | StatementKind::CreateRetentionPolicy(spec)
                if spec.default && table.get(&spec.database.name, None).is_some() =>
            {
                fail(format!("the default retention policy of database {:?} is set", spec.database.name))
            }
            _ => None,
        }
    }

    /// 1.x's words for a place that isn't there; unlike those for a write they have no quotes.
    async fn missing(&self, place: &Place) -> Result<String, Error> {
        Ok(match &place.rp {
            Some(rp) if self.list().await?.iter().any(|mapping| mapping.database == place.db) => {
                format!("{POLICY_NOT_FOUND}: {rp}")
            }
            _ => format!("database not found: {}", place.db),
        })
    }

    async fn places(
        &self,
        statement: &Statement,
        places: &[Place],
        defaults: Defaults<'_>,
        answer: &mut Answer,
    ) -> Result<Work, Error> {
        let mut buckets = Vec::with_capacity(places.len());
        for place in places {
            let found = match place.permission {
                Permission::Read => self.resolver.for_read(self.identity, &place.db, place.rp.as_deref()).await,
                // No statement makes a database that it writes to.
                Permission::Write => {
                    let resolver = Resolver { auto_create: false, ..self.resolver };
                    resolver.for_write(self.identity, &place.db, place.rp.as_deref()).await
                }
            };
            match found {
                Ok(bucket) => buckets.push(bucket),
                // To the letter of 1.x, it is this statement that fails, in its turn.
                Err(error) if self.profile == Profile::V1 && error.kind() == Kind::NotFound => {
                    // 1.x doesn't ask whether the database of these is there.
                    if let StatementKind::Show(show) = &statement.kind
                        && let Some(work) = without_database(show)
                    {
                        return Ok(work);
                    }
                    let missing = self.missing(place).await?;
                    // What is wrong with the statement comes before policies, but behind databases.
                    return Ok(Work::Fail(match validate(statement) {
                        Err(wrong) if missing.starts_with(POLICY_NOT_FOUND) => wrong.to_string(),
                        _ => missing,
                    }));
                }
                Err(error) => return Err(error),
            }
        }
        let Some((bucket, place)) = buckets.first().zip(places.first()) else {
            return Ok(Work::Fail("database name required".into()));
        };
        let several = buckets.iter().any(|other| other != bucket);
        if several && !self.target.multi_bucket {
            let names: Vec<String> = places.iter().map(|place| format!("{:?}", place.db)).collect();
            return Ok(Work::Fail(format!("a statement can't read several databases here: {}", names.join(", "))));
        }
        let mut statement = statement.clone();
        statement::rename(&mut statement.kind, defaults, several, &|db, rp| {
            let index = places.iter().position(|place| &*place.db == db && place.rp.as_deref() == rp)?;
            buckets.get(index).cloned()
        });
        let about_database =
            if let StatementKind::Show(show) = &statement.kind { self.can_list && is_about_database(show) } else { false };
        if !self.target.full_influxql {
            (answer.soffset, answer.slimit) = statement::take_series_limits(&mut statement.kind);
            if self.target.api == Api::V3 {
                statement::without_look_back(&mut statement.kind);
            }
        }
        if let StatementKind::Select(select) = &statement.kind
            && let Some(zone) = &select.timezone
        {
            answer.zone = Some(respond::zone(&zone.name)?);
        }
        let siblings = match &statement.kind {
            StatementKind::Show(_) if self.target.full_influxql || about_database => self.siblings(&buckets, places).await?,
            _ => BTreeMap::new(),
        };
        let mut ask = Box::new(Ask { bucket: bucket.clone(), database: place.db.clone(), statement, siblings });
        if !self.target.full_influxql
            && let Some(others) = std::mem::take(&mut ask.siblings).remove(bucket)
        {
            return Ok(Work::Whole(Whole::new(*ask, others)));
        }
        Ok(Work::Ask(ask))
    }
}
