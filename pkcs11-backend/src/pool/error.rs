//! Why a pool has no result.

/// Why a pool has no result of a request. What a job itself says, as that there is no such key, is its result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// As many requests wait as may: take less load. The job did not run.
    #[error("too many requests wait for the token")]
    Overloaded,
    /// The time is up. The job may have run; its result is lost.
    #[error("the token did not answer in time")]
    DeadlineExceeded,
    /// The token failed several times in a row, and is being opened again: try later.
    #[error("the token is not available")]
    Unavailable,
    /// The token refused the PIN, and it is not tried again: somebody must see to it and open a new pool.
    #[error("the token refused the PIN: the pool has stopped")]
    Stopped,
    /// A self-test failed when the token was opened again: nothing is served any more, by no shard. Somebody must see to
    /// it and open a new pool.
    #[error("a self-test failed: the pool has stopped")]
    SelfTest,
    /// The job panicked. The pool goes on.
    #[error("the job panicked")]
    Panicked,
    /// The pool is being closed. The job did not run, or its result is lost.
    #[error("the pool is closed")]
    Closed,
    /// The pool is another process's, the parent of this one: open one after `fork`.
    #[error("the pool belongs to the parent process")]
    Forked,
}

impl PoolError {
    /// A stable name of the variant, for reports and logs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Overloaded => "pool_overloaded",
            Self::DeadlineExceeded => "pool_deadline",
            Self::Unavailable => "pool_unavailable",
            Self::Stopped => "pool_stopped",
            Self::SelfTest => "pool_self_test",
            Self::Panicked => "pool_panicked",
            Self::Closed => "pool_closed",
            Self::Forked => "pool_forked",
        }
    }
}
