//! What the cache tells an operator: counts through the `metrics` facade, with the feature `observe`; nothing without it.

#[cfg(feature = "observe")]
mod counts {
    /// A key was looked for, and was there or not.
    pub(in super::super) fn looked_up(kind: &'static str, found: bool) {
        let result = if found { "hit" } else { "miss" };
        metrics::counter!("p2pe_cache_lookups_total", "kind" => kind, "result" => result).increment(1);
    }

    /// What was kept made room for others (`room`) or reached its age (`age`).
    pub(in super::super) fn gone(reason: &'static str) {
        metrics::counter!("p2pe_cache_evictions_total", "reason" => reason).increment(1);
    }
}

#[cfg(not(feature = "observe"))]
mod counts {
    pub(in super::super) fn looked_up(_kind: &'static str, _found: bool) {}
    pub(in super::super) fn gone(_reason: &'static str) {}
}

pub(super) use counts::{gone, looked_up};
