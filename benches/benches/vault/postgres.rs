//! The vault on PostgreSQL beside the same rows through `tokio-postgres` alone: single ones by a prepared statement on as many
//! connections, batches by COPY. Same server, schema and indices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use futures_util::pin_mut;
use p2pe_benches::{Row, Rows, merchant};
use p2pe_crypto::Pan;
use throwaway_postgres::{Server, Settings};
use tokio::runtime::Runtime;
use tokio_postgres::{
    Client, NoTls,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use vault::{Postgres, Vault, VaultStore};

use crate::{
    BATCH, Cards,
    bare::{bytes, hex},
    callers::Callers,
    memory, names, policy,
};

const CONNECTIONS: usize = 8;
const TURNS: usize = 16;
const COLUMNS: &str = "id, tenant, policy, token, print_version, fingerprint, pan_fingerprint, key_version, nonce, sealed, ends, \
                       single_use";

pub(crate) fn rows(rows: &mut Rows) {
    let row = |name: &str, target, limit| Row { name: format!("vault postgres {name}"), target: Some(target), limit };
    let (single, batch) = (
        row("8 callers, prepared insert", 0.7, "the server's checks of card, keys, policy"),
        row("batch, COPY", 0.6, "insertion into six indices"),
    );
    if !rows.wants(&single.name) && !rows.wants(&batch.name) {
        return;
    }
    let Ok(server) = Server::start(&Settings { on_disk: true, ..Settings::default() }) else {
        rows.absent(&single);
        rows.absent(&batch);
        return;
    };
    let (url, bare_url) = (server.new_database().expect("a database"), server.new_database().expect("a database"));
    let store: Arc<dyn VaultStore> =
        Arc::new(Postgres::open(&format!("{url}&connections={CONNECTIONS}")).expect("a database"));
    drop(Vault::init(Arc::clone(&store), memory(), names()).expect("a vault"));
    drop(Postgres::open(&bare_url).expect("the schema"));
    let nonces = AtomicU64::new(0);
    let bares: Vec<Bare> = (0..CONNECTIONS as u64).map(|caller| Bare::new(&bare_url, caller)).collect();
    if rows.wants(&single.name) {
        let callers = Callers::new(&store, CONNECTIONS, TURNS);
        let bares: Vec<_> = bares.iter().map(std::sync::Mutex::new).collect();
        rows.measure(
            &single,
            (CONNECTIONS * TURNS, || callers.run()),
            (CONNECTIONS * TURNS, || {
                thread::scope(|scope| {
                    for bare in &bares {
                        scope.spawn(|| bare.lock().expect("no panic").insert(TURNS, &nonces));
                    }
                });
            }),
        );
    }
    let vault = Vault::open(store, memory()).expect("the vault opens");
    let (policy, mut cards) = (policy(), Cards(9_000_000_000));
    rows.measure(
        &batch,
        (BATCH, || {
            let pans: Vec<Pan> = (0..BATCH).map(|_| cards.next()).collect();
            let tokens = vault.tokenize_batch(&policy, &pans.iter().collect::<Vec<_>>()).expect("tokens");
            assert!(tokens.iter().all(Result::is_ok));
        }),
        (BATCH, || bares[0].copy(BATCH, &nonces)),
    );
}

/// One connection, driven by the thread that uses it.
struct Bare {
    runtime: Runtime,
    client: Client,
    insert: tokio_postgres::Statement,
    random: AtomicU64,
}

/// A row, in the order of `COLUMNS`.
struct Values {
    id: Vec<u8>,
    tenant: String,
    token: String,
    print: Vec<u8>,
    one: i64,
    nonce: i64,
    sealed: Vec<u8>,
    ends: Option<i64>,
    single_use: bool,
}

impl Values {
    fn cells(&self) -> [&(dyn ToSql + Sync); 12] {
        let Self { id, tenant, token, print, one, nonce, sealed, ends, single_use } = self;
        [id, tenant, one, token, one, print, print, one, nonce, sealed, ends, single_use]
    }
}

impl Bare {
    fn new(url: &str, caller: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (client, insert) = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
            tokio::spawn(connection);
            let places = "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12";
            let insert = client.prepare(&format!("INSERT INTO tokens ({COLUMNS}) VALUES ({places})")).await;
            (client, insert.expect("a statement"))
        });
        Self { runtime, client, insert, random: AtomicU64::new(caller << 32) }
    }

    fn values(&self, nonces: &AtomicU64) -> Values {
        let mut random = self.random.load(Ordering::Relaxed);
        let (id, print, token) = (bytes::<16>(&mut random), bytes::<32>(&mut random), bytes::<16>(&mut random));
        self.random.store(random, Ordering::Relaxed);
        Values {
            id: id.into(),
            tenant: merchant().as_str().into(),
            token: format!("vtok_{}", hex(&token)),
            print: print.into(),
            one: 1,
            nonce: i64::try_from(nonces.fetch_add(1, Ordering::Relaxed)).expect("few"),
            sealed: vec![0x5A; 38],
            ends: None,
            single_use: false,
        }
    }

    fn insert(&self, rows: usize, nonces: &AtomicU64) {
        self.runtime.block_on(async {
            for _ in 0..rows {
                self.client.execute(&self.insert, &self.values(nonces).cells()).await.expect("a row");
            }
        });
    }

    fn copy(&self, rows: usize, nonces: &AtomicU64) {
        let types = [
            Type::BYTEA,
            Type::TEXT,
            Type::INT8,
            Type::TEXT,
            Type::INT8,
            Type::BYTEA,
            Type::BYTEA,
            Type::INT8,
            Type::INT8,
            Type::BYTEA,
            Type::INT8,
            Type::BOOL,
        ];
        self.runtime.block_on(async {
            let sink = self.client.copy_in(&format!("COPY tokens ({COLUMNS}) FROM STDIN BINARY")).await.expect("COPY");
            let writer = BinaryCopyInWriter::new(sink, &types);
            pin_mut!(writer);
            for _ in 0..rows {
                writer.as_mut().write(&self.values(nonces).cells()).await.expect("a row");
            }
            assert_eq!(writer.finish().await.expect("stored"), rows as u64);
        });
    }
}
