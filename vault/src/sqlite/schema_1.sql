-- Version 1. Times are Unix seconds; keys are wrapped, card numbers sealed.
CREATE TABLE vault (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    wrapping_key TEXT NOT NULL,
    wrapped_check BLOB NOT NULL CHECK (length(wrapped_check) = 40)
) STRICT;

CREATE TABLE fingerprint_keys (
    version INTEGER PRIMARY KEY CHECK (version >= 1),
    name TEXT NOT NULL,
    check_mac BLOB NOT NULL CHECK (length(check_mac) = 32)
) STRICT;

CREATE TABLE data_keys (
    tenant TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    wrapped_by TEXT NOT NULL,
    wrapped BLOB NOT NULL CHECK (length(wrapped) = 40),
    nonces INTEGER NOT NULL DEFAULT 0 CHECK (nonces BETWEEN 0 AND 4294967296),
    PRIMARY KEY (tenant, version)
) STRICT;

-- The last data key that a tenant had before it was shredded: the next one is another version.
CREATE TABLE shredded (
    tenant TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT;

-- Policy versions that were replaced.
CREATE TABLE successions (
    tenant TEXT NOT NULL,
    version INTEGER NOT NULL,
    successor INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (tenant, version)
) STRICT;

CREATE TABLE tokens (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    tenant TEXT NOT NULL,
    policy INTEGER NOT NULL,
    token TEXT NOT NULL,
    print_version INTEGER NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    pan_fingerprint BLOB NOT NULL CHECK (length(pan_fingerprint) = 32),
    key_version INTEGER NOT NULL,
    nonce INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    ends INTEGER,
    single_use INTEGER NOT NULL CHECK (single_use IN (0, 1)),
    used_at INTEGER,
    successor TEXT,
    FOREIGN KEY (tenant, key_version) REFERENCES data_keys (tenant, version)
) STRICT;
CREATE UNIQUE INDEX tokens_token ON tokens (tenant, token);
CREATE UNIQUE INDEX tokens_card ON tokens (tenant, policy, fingerprint) WHERE single_use = 0;
CREATE UNIQUE INDEX tokens_nonce ON tokens (tenant, key_version, nonce);
CREATE INDEX tokens_pan ON tokens (tenant, pan_fingerprint);
CREATE INDEX tokens_print ON tokens (print_version);

-- Named requests, and the row that each got.
CREATE TABLE requests (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    row BLOB NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    ends INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;
CREATE INDEX requests_row ON requests (row);
CREATE INDEX requests_ends ON requests (ends);

CREATE TABLE audit (
    time INTEGER NOT NULL,
    caller TEXT NOT NULL,
    tenant TEXT NOT NULL,
    row BLOB,
    purpose TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE INDEX audit_caller ON audit (caller, time);
