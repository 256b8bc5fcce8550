//! SQLite, through the blocking pool: a few connections, lent to one job each.
//!
//! A job that was begun runs to its end, also when its request is gone, and gives its connection back then: what a
//! client was told is in the file, and no connection is lost to a client that left.

use anyscope::{Limiter, PermitArc, Semaphore, unblock};
use rusqlite::{Connection, OptionalExtension, Result};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The embedded store. Opened first, closed last.
pub(crate) struct Store {
    /// A permit for each connection.
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    /// Of its own: a store that is slow takes no thread from the handlers.
    threads: Limiter,
}

/// A connection that somebody has.
struct Lease {
    store: Arc<Store>,
    connection: Option<Connection>,
    _permit: PermitArc,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Fields are dropped after this: the connection is back before the permit.
        self.store.idle().extend(self.connection.take());
    }
}

impl Store {
    /// Opens `path`, or makes it. Jobs that an earlier service never told the end of are noted as lost: it was killed.
    pub(crate) async fn open(path: &Path, connections: usize) -> Result<Arc<Self>> {
        let path = path.to_owned();
        let idle = unblock(move || -> Result<_> {
            let idle = (0..connections).map(|_| connect(&path)).collect::<Result<Vec<_>>>()?;
            if let Some(connection) = idle.first() {
                connection.execute("update jobs set state = 'lost' where state = 'accepted'", [])?;
            }
            Ok(idle)
        })
        .await?;
        Ok(Arc::new(Self {
            free: Arc::new(Semaphore::new(connections)),
            idle: Mutex::new(idle),
            threads: Limiter::new(connections),
        }))
    }

    /// Writes what is only in the log into the file, and closes. All jobs have ended by then.
    pub(crate) async fn close(&self) {
        let connections = std::mem::take(&mut *self.idle());
        unblock(move || {
            for connection in connections {
                let _ = connection.pragma_query(None, "wal_checkpoint", |_| Ok(()));
            }
        })
        .await;
    }

    /// How many connections are lent.
    pub(crate) fn lent(&self) -> usize {
        self.free.statistics().borrowed
    }

    pub(crate) async fn add(self: &Arc<Self>, body: String) -> Result<i64> {
        self.with(move |connection| {
            connection.prepare_cached("insert into items (body) values (?1)")?.execute([body])?;
            Ok(connection.last_insert_rowid())
        })
        .await
    }

    pub(crate) async fn item(self: &Arc<Self>, id: i64) -> Result<Option<String>> {
        self.with(move |connection| {
            let mut statement = connection.prepare_cached("select body from items where id = ?1")?;
            statement.query_row([id], |row| row.get(0)).optional()
        })
        .await
    }

    pub(crate) async fn count(self: &Arc<Self>) -> Result<u64> {
        self.with(|connection| connection.query_row("select count(*) from items", [], |row| row.get(0))).await
    }

    /// Notes that a request's client left before it was answered.
    pub(crate) async fn note_abandoned(self: &Arc<Self>, route: String) -> Result<()> {
        self.with(move |connection| {
            connection.prepare_cached("insert into abandoned (route) values (?1)")?.execute([route]).map(drop)
        })
        .await
    }

    pub(crate) async fn set_job(self: &Arc<Self>, id: u64, state: String) -> Result<()> {
        self.with(move |connection| {
            connection
                .prepare_cached("insert into jobs (id, state) values (?1, ?2) on conflict do update set state = ?2")?
                .execute((id, state))
                .map(drop)
        })
        .await
    }

    pub(crate) async fn job(self: &Arc<Self>, id: u64) -> Result<Option<String>> {
        self.with(move |connection| {
            let mut statement = connection.prepare_cached("select state from jobs where id = ?1")?;
            statement.query_row([id], |row| row.get(0)).optional()
        })
        .await
    }

    /// The id of the last job of an earlier run.
    pub(crate) async fn last_job(self: &Arc<Self>) -> Result<u64> {
        self.with(|connection| connection.query_row("select coalesce(max(id), 0) from jobs", [], |row| row.get(0)))
            .await
    }

    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.free.acquire_arc().await.expect("nobody closes it, and one is no more than there are");
        let connection = self.idle().pop().expect("one for each permit");
        let mut lease = Lease { store: self.clone(), connection: Some(connection), _permit: permit };
        unblock(move || query(lease.connection.as_mut().expect("there until the lease is dropped")))
            .limiter(&self.threads)
            .await
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // What was acknowledged outlives the process; for what outlives the power, `full`.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.execute_batch(
        "create table if not exists items (id integer primary key, body text not null);
         create table if not exists jobs (id integer primary key, state text not null);
         create table if not exists abandoned (id integer primary key, route text not null);",
    )?;
    Ok(connection)
}
