//! Many threads with a vault each, over one database.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use vault::{Vault, VaultStore};

use crate::{Cards, memory, policy};

/// Threads that wait for a word to go on.
pub(crate) struct Callers {
    go: Vec<Sender<()>>,
    done: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Callers {
    /// So many, who make so many tokens each.
    pub(crate) fn new(database: &Arc<dyn VaultStore>, callers: usize, turns: usize) -> Self {
        let (said, done) = channel();
        let (mut go, mut threads) = (Vec::new(), Vec::new());
        for caller in 0..callers {
            let (word, wait) = channel();
            let (said, database) = (said.clone(), Arc::clone(database));
            go.push(word);
            threads.push(thread::spawn(move || {
                let vault = Vault::open(database, memory()).expect("the vault opens");
                let (policy, mut cards) = (policy(), Cards(caller as u64 * 100_000_000));
                while wait.recv().is_ok() {
                    for _ in 0..turns {
                        vault.tokenize(&policy, &cards.next(), None).expect("a token");
                    }
                    said.send(()).expect("somebody waits");
                }
            }));
        }
        Self { go, done, threads }
    }

    /// Each makes its tokens, one after the other.
    pub(crate) fn run(&self) {
        self.go.iter().for_each(|go| go.send(()).expect("a caller"));
        self.go.iter().for_each(|_| self.done.recv().expect("a caller is done"));
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.go.clear();
        for thread in self.threads.drain(..) {
            thread.join().expect("a caller ends");
        }
    }
}
