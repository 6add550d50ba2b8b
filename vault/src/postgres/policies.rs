//! Policy versions and their successors.

use super::{
    fault::Fault,
    session::{SERIALIZABLE, Session},
    values::{count, get, long, version},
};
use crate::{PolicyCount, Succession};

pub(super) async fn replace(s: &mut Session, tenant: &str, version: u32, by: &Succession) -> Result<Succession, Fault> {
    let sql = "INSERT INTO successions VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, version) DO NOTHING";
    let version = i64::from(version);
    s.at_once(SERIALIZABLE, &[(sql, &[&tenant, &version, &i64::from(by.by), &long(by.ends)])]).await?;
    let sql = "SELECT successor, ends FROM successions WHERE tenant = $1 AND version = $2";
    match s.query_opt(sql, &[&tenant, &version]).await? {
        Some(record) => Ok(Succession { by: self::version(&record, 0)?, ends: count(&record, 1)? }),
        None => Ok(*by),
    }
}

pub(super) async fn successors(
    s: &mut Session,
    tenant: &str,
    version: u32,
    after: &str,
    most: usize,
) -> Result<Vec<(String, String)>, Fault> {
    let sql = "SELECT token, successor FROM tokens \
               WHERE tenant = $1 AND policy = $2 AND successor IS NOT NULL AND token > $3 ORDER BY token LIMIT $4";
    let found = s.query(sql, &[&tenant, &i64::from(version), &after, &long(most as u64)]).await?;
    found.iter().map(|record| Ok((get(record, 0)?, get(record, 1)?))).collect()
}

pub(super) async fn counts(s: &mut Session) -> Result<Vec<PolicyCount>, Fault> {
    let sql = "SELECT tenant, version, rows, successor, ends \
               FROM (SELECT tenant, policy AS version, count(*) AS rows FROM tokens GROUP BY tenant, policy) AS made \
               LEFT JOIN successions USING (tenant, version) ORDER BY tenant, version";
    let found = s.query(sql, &[]).await?;
    let counts = found.iter().map(|record| {
        let succession = match get::<Option<i64>>(record, 3)? {
            Some(_) => Some(Succession { by: version(record, 3)?, ends: count(record, 4)? }),
            None => None,
        };
        Ok(PolicyCount { tenant: get(record, 0)?, version: version(record, 1)?, rows: count(record, 2)?, succession })
    });
    counts.collect()
}
