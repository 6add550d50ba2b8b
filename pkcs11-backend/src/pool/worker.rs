//! A worker: one thread, one session at a time, from request to request.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    PoolError, Workshop,
    state::{Next, Shared},
};
use crate::{Token, fault::Remedy};

/// Runs of one request that may end in a fault: the first, one in a new session, one with the token opened again.
const RUNS: u32 = 3;

/// Works until the pool is closed or its PIN refused.
pub(super) fn work<W: Workshop>(shared: &Shared<W>, shard: usize, worker: usize) {
    while let Some((token, epoch)) = shared.join(shard) {
        serve(shared, shard, worker, &token, epoch);
        shared.leave(shard, vec![token]);
    }
    shared.gone();
}

/// Serves in one session, which is closed with the bench and all that borrows it when this returns.
fn serve<W: Workshop>(shared: &Shared<W>, shard: usize, worker: usize, token: &Token, epoch: u64) {
    let store = match token.store() {
        Ok(store) => store,
        Err(error) => return shared.no_session(shard, epoch, worker, &error),
    };
    let mut bench = shared.workshop.bench(&store);
    let mut served = false;
    loop {
        let mut request = match shared.next(shard, epoch, worker, served, token) {
            Next::Run(request) => request,
            Next::Idle => {
                shared.workshop.idle(&mut bench);
                // Keys that could not be destroyed do not wait for the next request.
                let _ = store.destroy_leftovers();
                match store.take_suspicion() {
                    None => continue,
                    Some(why) => return shared.failed(shard, epoch, worker, why, None),
                }
            }
            Next::Leave => return,
        };
        if catch_unwind(AssertUnwindSafe(|| request.task.run(&mut bench))).is_err() {
            // What the job left half done goes with the session.
            return request.task.refuse(PoolError::Panicked);
        }
        let Some(mut why) = store.take_suspicion() else {
            request.task.answer();
            served = true;
            continue;
        };
        request.failed += 1;
        let its_own = request.failed > 1 && why.may_be_the_data() && store.is_healthy();
        if request.failed > 1 && !its_own {
            why.remedy = Remedy::Reopen;
        }
        if its_own || request.failed == RUNS {
            request.task.answer();
            return shared.failed(shard, epoch, worker, why, None);
        }
        return shared.failed(shard, epoch, worker, why, Some(request));
    }
}
