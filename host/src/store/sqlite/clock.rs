//! What the store knows of the time, and what ends by it.

use keystile_validator::Timestamp;
use rusqlite::{Connection, params};

use super::checked::Checked as _;
use super::rows::{to_integer, to_seconds};
use crate::audit::GRACE_STARTED;
use crate::store::{CLOCK_JUMP, ClockRow, StoreError};

/// Notes what the clock says and how late it is, and whether the time has jumped to get there.
pub(super) fn note(connection: &Connection, clock: Timestamp, newest: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE position SET clock_at = ?1, newest_at = max(newest_at, ?2), \
               steady_since = CASE WHEN ?2 > newest_at + ?3 OR steady_since < 0 THEN ?2 ELSE steady_since END";
    let values = [to_seconds(clock), to_seconds(newest), to_integer(CLOCK_JUMP)];
    connection.prepare_cached(sql).and_then(|mut note| note.execute(values)).checked()?;
    Ok(())
}

pub(super) fn set(connection: &Connection, row: ClockRow) -> Result<(), StoreError> {
    let sql = "UPDATE position SET newest_at = ?1, steady_since = ?2, clock_accepted = ?3, clock_at = ?4";
    let times = [row.newest, row.steady_since].map(to_seconds);
    let values = [times[0], times[1], to_integer(row.accepted), to_seconds(row.clock)];
    connection.execute(sql, values).checked()?;
    Ok(())
}

pub(super) fn end_secrets(connection: &Connection, up_to: Timestamp, limit: usize) -> Result<u64, StoreError> {
    let sql = "UPDATE secrets SET ended_at = max(retires_at, 0) WHERE (key_pk, number) IN \
               (SELECT key_pk, number FROM secrets INDEXED BY secrets_by_end \
                WHERE retires_at IS NOT NULL AND ended_at IS NULL AND retires_at <= ?1 LIMIT ?2)";
    let values = [to_seconds(up_to), to_integer(limit as u64)];
    let ended = connection.prepare_cached(sql).and_then(|mut end| end.execute(values)).checked()?;
    Ok(ended as u64)
}

// A rotation from now on has made its secret in the second from which its grace counts. One from the first use has
// not: the trail says when that was. A grace whose beginning nobody knows has the second limit.
pub(super) fn shorten_graces(connection: &Connection, now: Timestamp, longest: u64) -> Result<u64, StoreError> {
    let begun = "SELECT next.created_at AS at FROM secrets AS next WHERE next.key_pk = secrets.key_pk \
                   AND next.number = secrets.number + 1 AND next.created_at > ?1 \
                 UNION ALL SELECT max(a.at) FROM audit AS a JOIN keys AS k ON a.subject = 'key_' || lower(hex(k.id)) \
                   WHERE k.pk = secrets.key_pk AND a.action = ?3 AND a.at > ?1";
    let sql = format!(
        "UPDATE secrets SET retires_at = ?1 + min(?2, coalesce( \
           (SELECT max(secrets.retires_at - max(at), 0) FROM ({begun}) WHERE at IS NOT NULL), ?2)) \
         WHERE ended_at IS NULL AND retires_at > ?1 AND (retires_at > ?1 + ?2 \
           OR EXISTS (SELECT 1 FROM ({begun}) WHERE at IS NOT NULL))"
    );
    let values = params![to_seconds(now), to_integer(longest), GRACE_STARTED];
    let shortened = connection.execute(&sql, values).checked()?;
    Ok(shortened as u64)
}
