//! Trial decryptions: every key that may be meant, in every way that it may have been used.

use dukpt::{
    Key, KeyError, KeyId, KeyImport, KeyMaterial, KeyStore, Ksn, Lifetime, MemoryStore, aes,
    tdes::{self, Cipher, TrialBase, TrialKeys, TrialWorking},
};
use zeroize::Zeroizing;

use crate::specimen::Specimen;

/// What a stored key was taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// A base key, as it should.
    BaseKey,
    /// The initial key of the device.
    InitialKey,
    /// The key of the transaction.
    TransactionKey,
    /// A base key whose initial key was then taken for a base key.
    Twice,
    /// A base key, but the counter's bits were taken from the lowest.
    Upwards,
}

/// Which data key, and the cipher under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Working {
    Tdes(TrialWorking, Cipher),
    Aes(aes::Suite),
}

impl Working {
    pub(crate) fn block(self) -> usize {
        match self {
            Self::Tdes(_, cipher) => cipher.block(),
            Self::Aes(_) => Cipher::Aes128.block(),
        }
    }
}

/// One way to decrypt: the key by its index, the KSN by its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lane {
    pub(crate) key: usize,
    pub(crate) taken: Taken,
    pub(crate) ksn: usize,
    pub(crate) working: Working,
}

/// The clear text of each run, CBC with a zero IV; empty where the ciphertext is no whole blocks.
pub(crate) type Clear = [Zeroizing<Vec<u8>>];

/// Decrypts a specimen in every lane of one key. What the store cannot do is put into `not_tried`.
pub(crate) fn each<K: Key>(
    key: &K,
    index: usize,
    specimen: &Specimen,
    not_tried: &mut Vec<String>,
    visit: &mut impl FnMut(Lane, &Clear),
) {
    tdes_lanes(key, index, specimen, not_tried, visit);
    aes_lanes(key, index, specimen, visit);
}

fn tdes_lanes<K: Key>(
    key: &K,
    index: usize,
    specimen: &Specimen,
    not_tried: &mut Vec<String>,
    visit: &mut impl FnMut(Lane, &Clear),
) {
    let ksns: Vec<(usize, tdes::Ksn)> = (specimen.ksns.iter().enumerate())
        .filter_map(|(at, (_, ksn))| if let Ksn::Tdes(ksn) = ksn { Some((at, *ksn)) } else { None })
        .collect();
    let Some(&(_, sent)) = ksns.first() else { return };
    // Neighbours share their initial key.
    let mut initial: Vec<(tdes::Ksn, tdes::InitialKey)> = Vec::new();
    for (_, ksn) in &ksns {
        if !initial.iter().any(|(other, _)| other.initial_key_block() == ksn.initial_key_block()) {
            match key.tdes_initial_key(ksn) {
                Ok(derived) => initial.push((*ksn, derived)),
                Err(_) => return,
            }
        }
    }
    let of = |ksn: &tdes::Ksn| initial.iter().find(|(other, _)| other.initial_key_block() == ksn.initial_key_block());
    let transactions: Vec<_> = ksns.iter().filter_map(|(_, ksn)| Some((&of(ksn)?.1, *ksn))).collect();
    let mut sets = Vec::new();
    if let Ok(keys) = TrialKeys::derive(&transactions) {
        sets.push((Taken::BaseKey, ksns.iter().map(|(at, _)| *at).collect(), keys));
    }
    for (taken, base) in
        [(Taken::InitialKey, TrialBase::InitialKey), (Taken::TransactionKey, TrialBase::TransactionKey)]
    {
        match key.tdes_taken_for(base, &sent) {
            Ok(keys) => sets.push((taken, vec![ksns[0].0], keys)),
            Err(KeyError::Unsupported(what)) => {
                let line = format!("{what} (the store keeps it inside)");
                if !not_tried.contains(&line) {
                    not_tried.push(line);
                }
            }
            Err(_) => {}
        }
    }
    if let Some(keys) = of(&sent).and_then(|(_, initial)| twice(initial, &sent)) {
        sets.push((Taken::Twice, vec![ksns[0].0], keys));
    }
    if sent.counter().count_ones() > 1
        && let Some((_, initial)) = of(&sent)
        && let Ok(keys) = TrialKeys::derive_upwards(initial, &sent)
    {
        sets.push((Taken::Upwards, vec![ksns[0].0], keys));
    }
    for (taken, ats, keys) in &sets {
        for working in TrialWorking::ALL {
            let data_keys = keys.data_keys(working);
            for cipher in [Cipher::Tdes, Cipher::Aes128] {
                let mut clear: Vec<Vec<Zeroizing<Vec<u8>>>> =
                    ats.iter().map(|_| copies(specimen, cipher.block())).collect();
                let mut messages: Vec<(usize, &mut [u8])> = Vec::new();
                for (lane, runs) in clear.iter_mut().enumerate() {
                    messages
                        .extend(runs.iter_mut().filter(|run| !run.is_empty()).map(|run| (lane, run.as_mut_slice())));
                }
                if messages.is_empty() || data_keys.decrypt_cbc(cipher, &mut messages).is_err() {
                    continue;
                }
                for (at, runs) in ats.iter().zip(&clear) {
                    visit(Lane { key: index, taken: *taken, ksn: *at, working: Working::Tdes(working, cipher) }, runs);
                }
            }
        }
    }
}

/// The keys of a device whose injection took its initial key for a base key.
fn twice(initial: &tdes::InitialKey, ksn: &tdes::Ksn) -> Option<TrialKeys> {
    let (mut store, id) = (MemoryStore::new(), KeyId::new("initial").ok()?);
    let material = KeyMaterial::new("tdes-base", initial.expose()).ok()?;
    store.import(&id, &material, Lifetime::Session).ok()?;
    let initial = store.key(&id).ok()?.tdes_initial_key(ksn).ok()?;
    TrialKeys::derive(&[(&initial, *ksn)]).ok()
}

fn aes_lanes<K: Key>(key: &K, index: usize, specimen: &Specimen, visit: &mut impl FnMut(Lane, &Clear)) {
    use aes::{DataUsage, KeyType, Suite};
    let sizes = [KeyType::Aes128, KeyType::Aes192, KeyType::Aes256];
    let suites = sizes.into_iter().flat_map(|base| sizes.map(|data| (base, data)));
    let suites: Vec<Suite> = suites
        .flat_map(|(base, data)| [DataUsage::Encrypt, DataUsage::Both].map(|usage| Suite::new(base, data, usage).ok()))
        .flatten()
        .collect();
    for (at, (_, ksn)) in specimen.ksns.iter().enumerate() {
        let Ksn::Aes(ksn) = ksn else { continue };
        for &suite in &suites {
            let lane = |taken| Lane { key: index, taken, ksn: at, working: Working::Aes(suite) };
            let mut run = |taken, decrypt: &dyn Fn(&mut [u8]) -> Result<(), KeyError>| {
                let mut clear = copies(specimen, Cipher::Aes128.block());
                let done = clear.iter_mut().filter(|run| !run.is_empty()).all(|run| decrypt(run).is_ok());
                if done {
                    visit(lane(taken), &clear);
                }
            };
            if let Ok(data_key) = aes::DataKey::derive(key, ksn, suite) {
                run(Taken::BaseKey, &|data| data_key.decrypt_cbc(&[0; 16], data));
            }
            if at != 0 {
                continue;
            }
            if let Ok(data_key) = steps(key, ksn, suite) {
                run(Taken::InitialKey, &|data| data_key.decrypt_cbc(&[0; 16], data));
            }
            let initial = key.derive(&ksn.initial_key(suite));
            if let Ok(data_key) = initial.and_then(|initial| aes::DataKey::derive(&initial, ksn, suite)) {
                run(Taken::Twice, &|data| data_key.decrypt_cbc(&[0; 16], data));
            }
        }
    }
}

/// The way from an initial key to the data key.
fn steps<K: Key>(initial: &K, ksn: &aes::Ksn, suite: aes::Suite) -> Result<K, KeyError> {
    let mut steps = ksn.steps(suite)?;
    let first = steps.next().ok_or(KeyError::NotPermitted)?;
    steps.try_fold(initial.derive(&first)?, |key, step| key.derive(&step))
}

fn copies(specimen: &Specimen, block: usize) -> Vec<Zeroizing<Vec<u8>>> {
    let whole = |run: &[u8]| if run.len().is_multiple_of(block) { run.to_vec() } else { Vec::new() };
    specimen.runs.iter().map(|run| Zeroizing::new(whole(&run.ciphertext))).collect()
}
