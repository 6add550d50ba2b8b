//! Names of requests in a set of vaults, and the shard that each is bound to.

use super::{
    fault::Fault,
    session::{READ_COMMITTED, Session, Values},
    values::{count, long, version},
};
use crate::{Claim, StoreError};

/// So many whose time is over are forgotten at once.
const FORGOTTEN: &str = "DELETE FROM claims WHERE (tenant, name) IN \
    (SELECT tenant, name FROM claims WHERE ends <= $1 LIMIT 100 FOR UPDATE SKIP LOCKED)";

const CLAIM: &str = "
    INSERT INTO claims VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, name) DO UPDATE SET
        shard = CASE WHEN claims.ends <= $5 THEN excluded.shard ELSE claims.shard END,
        ends = CASE WHEN claims.ends <= $5 THEN excluded.ends ELSE claims.ends END
    RETURNING shard, ends";

pub(super) async fn claim(
    s: &mut Session,
    tenant: &str,
    name: &str,
    Claim { shard, ends }: Claim,
    now: u64,
) -> Result<Claim, Fault> {
    let (shard, ends, now) = (i64::from(shard), long(ends), long(now));
    let claim: Values<'_> = &[&tenant, &name, &shard, &ends, &now];
    let done = s.at_once(READ_COMMITTED, &[(FORGOTTEN, &[&now]), (CLAIM, claim)]).await?;
    let bound = done.into_iter().flatten().next().ok_or(StoreError::Malformed("shard"))?;
    Ok(Claim { shard: version(&bound, 0)?, ends: count(&bound, 1)? })
}
