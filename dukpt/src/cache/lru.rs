//! A bounded map: the least recently used value goes first, and each goes at its age.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::observe;

pub(super) struct Lru<K, V> {
    limit: usize,
    time_to_live: Duration,
    entries: BTreeMap<K, Entry<V>>,
    /// Serial numbers of last uses, and of insertions; both grow, so that the first is the oldest.
    by_use: BTreeMap<u64, K>,
    by_birth: BTreeMap<u64, K>,
    serial: u64,
}

struct Entry<V> {
    value: V,
    born_at: Duration,
    birth: u64,
    used: u64,
}

impl<K: Ord + Copy, V> Lru<K, V> {
    /// Of at most `limit` values; with none it keeps nothing.
    pub(super) fn new(limit: usize, time_to_live: Duration) -> Self {
        let (by_use, by_birth) = (BTreeMap::new(), BTreeMap::new());
        Self { limit, time_to_live, entries: BTreeMap::new(), by_use, by_birth, serial: 0 }
    }

    /// Whether it has room for nothing.
    pub(super) fn keeps_nothing(&self) -> bool {
        self.limit == 0
    }

    /// The value, which is now the most recently used.
    pub(super) fn get(&mut self, key: &K, now: Duration) -> Option<&mut V> {
        self.expire(now);
        let serial = self.next_serial();
        let entry = self.entries.get_mut(key)?;
        self.by_use.remove(&entry.used);
        self.by_use.insert(serial, *key);
        entry.used = serial;
        Some(&mut entry.value)
    }

    /// The value, without a use of it.
    pub(super) fn peek(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    pub(super) fn insert(&mut self, key: K, value: V, now: Duration) {
        self.expire(now);
        self.remove(&key);
        while self.entries.len() >= self.limit {
            let Some((_, oldest)) = self.by_use.first_key_value() else { return };
            let oldest = *oldest;
            self.remove(&oldest);
            observe::gone("room");
        }
        let serial = self.next_serial();
        self.by_use.insert(serial, key);
        self.by_birth.insert(serial, key);
        self.entries.insert(key, Entry { value, born_at: now, birth: serial, used: serial });
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.by_birth.remove(&entry.birth);
        }
    }

    /// Removes what has reached its age.
    pub(super) fn expire(&mut self, now: Duration) {
        while let Some((_, eldest)) = self.by_birth.first_key_value() {
            let eldest = *eldest;
            let young = |entry: &Entry<V>| now.saturating_sub(entry.born_at) < self.time_to_live;
            if self.entries.get(&eldest).is_some_and(young) {
                return;
            }
            self.remove(&eldest);
            observe::gone("age");
        }
    }

    pub(super) fn remove_if(&mut self, unwanted: impl Fn(&V) -> bool) {
        let of_these = self.entries.iter().filter(|(_, entry)| unwanted(&entry.value)).map(|(key, _)| *key);
        for key in of_these.collect::<alloc::vec::Vec<_>>() {
            self.remove(&key);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.by_use.clear();
        self.by_birth.clear();
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(3, second(100));
        (1..=3).for_each(|n| lru.insert(n, n, second(0)));
        assert!(lru.get(&1, second(0)).is_some());
        assert!(lru.peek(&2).is_some(), "a look is no use");
        lru.insert(4, 4, second(0));
        assert_eq!([1, 2, 3, 4].map(|n| lru.peek(&n).is_some()), [true, false, true, true]);
        lru.insert(1, 10, second(0));
        assert_eq!(lru.entries.len(), 3, "a new value in place of the old one needs no room");
        lru.insert(5, 5, second(0));
        assert_eq!([1, 3, 4, 5].map(|n| lru.peek(&n).is_some()), [true, false, true, true]);
        assert_eq!([lru.by_use.len(), lru.by_birth.len()], [3, 3]);
    }

    #[test]
    fn uses_do_not_make_young() {
        let mut lru = Lru::new(3, second(10));
        lru.insert(1, 1, second(0));
        lru.insert(2, 2, second(5));
        assert!(lru.get(&1, second(9)).is_some());
        assert!(lru.get(&1, second(10)).is_none());
        assert!(lru.peek(&1).is_none(), "gone, not only refused");
        assert!(lru.get(&2, second(14)).is_some());
        lru.insert(3, 3, second(15));
        assert!(lru.peek(&2).is_none(), "an insertion expires too");
        lru.insert(3, 3, second(20));
        assert!(lru.get(&3, second(26)).is_some(), "put in again, it is young again");
        assert_eq!([lru.entries.len(), lru.by_use.len(), lru.by_birth.len()], [1, 1, 1]);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let mut lru = Lru::new(0, second(10));
        lru.insert(1, 1, second(0));
        assert_eq!([lru.entries.len(), lru.by_use.len(), lru.by_birth.len()], [0, 0, 0]);
    }

    #[test]
    fn some_or_all_are_removed() {
        let mut lru = Lru::new(9, second(10));
        (1..=4).for_each(|n| lru.insert(n, n, second(0)));
        lru.remove_if(|n| n % 2 == 0);
        assert_eq!([lru.entries.len(), lru.by_use.len(), lru.by_birth.len()], [2, 2, 2]);
        lru.clear();
        assert_eq!([lru.entries.len(), lru.by_use.len(), lru.by_birth.len()], [0, 0, 0]);
    }
}
