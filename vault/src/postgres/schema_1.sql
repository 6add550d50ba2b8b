-- Version 1. Times are Unix seconds; keys are wrapped, card numbers sealed. Text is compared by its bytes, so that no order depends on
-- the server's language. Every unique key of a partitioned table contains its partition key.
CREATE TABLE vault (
    one INT PRIMARY KEY CHECK (one = 1),
    wrapping_key TEXT NOT NULL,
    wrapped_check BYTEA NOT NULL CHECK (length(wrapped_check) = 40)
);

CREATE TABLE fingerprint_keys (
    version BIGINT PRIMARY KEY CHECK (version >= 1),
    name TEXT NOT NULL,
    check_mac BYTEA NOT NULL CHECK (length(check_mac) = 32)
);

CREATE TABLE data_keys (
    tenant TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL CHECK (version >= 1),
    wrapped_by TEXT NOT NULL,
    wrapped BYTEA NOT NULL CHECK (length(wrapped) = 40),
    nonces BIGINT NOT NULL DEFAULT 0 CHECK (nonces BETWEEN 0 AND 4294967296),
    PRIMARY KEY (tenant, version)
);

-- The last data key that a tenant had before it was shredded: the next one is another version.
CREATE TABLE shredded (
    tenant TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL
);

-- Policy versions that were replaced.
CREATE TABLE successions (
    tenant TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    successor BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    PRIMARY KEY (tenant, version)
);

CREATE TABLE tokens (
    id BYTEA NOT NULL CHECK (length(id) = 16),
    tenant TEXT COLLATE "C" NOT NULL,
    policy BIGINT NOT NULL,
    token TEXT COLLATE "C" NOT NULL,
    print_version BIGINT NOT NULL,
    fingerprint BYTEA NOT NULL CHECK (length(fingerprint) = 32),
    pan_fingerprint BYTEA NOT NULL CHECK (length(pan_fingerprint) = 32),
    key_version BIGINT NOT NULL,
    nonce BIGINT NOT NULL,
    sealed BYTEA NOT NULL,
    ends BIGINT,
    single_use BOOLEAN NOT NULL,
    used_at BIGINT,
    successor TEXT COLLATE "C",
    PRIMARY KEY (id, tenant)
) PARTITION BY HASH (tenant);
CREATE TABLE tokens_0 PARTITION OF tokens FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE tokens_1 PARTITION OF tokens FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE tokens_2 PARTITION OF tokens FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE tokens_3 PARTITION OF tokens FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE tokens_4 PARTITION OF tokens FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE tokens_5 PARTITION OF tokens FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE tokens_6 PARTITION OF tokens FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE tokens_7 PARTITION OF tokens FOR VALUES WITH (MODULUS 8, REMAINDER 7);
CREATE UNIQUE INDEX tokens_token ON tokens (tenant, token);
CREATE UNIQUE INDEX tokens_card ON tokens (tenant, policy, fingerprint) WHERE NOT single_use;
CREATE UNIQUE INDEX tokens_nonce ON tokens (tenant, key_version, nonce);
CREATE INDEX tokens_pan ON tokens (tenant, pan_fingerprint);
CREATE INDEX tokens_print ON tokens (print_version, id);

-- Named requests, and the token that each got.
CREATE TABLE requests (
    tenant TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    token TEXT COLLATE "C" NOT NULL,
    ends BIGINT NOT NULL,
    PRIMARY KEY (tenant, name),
    FOREIGN KEY (tenant, token) REFERENCES tokens (tenant, token) ON DELETE CASCADE
);
CREATE INDEX requests_token ON requests (tenant, token);
CREATE INDEX requests_ends ON requests (ends);

-- Locked by whoever asks in a caller's name.
CREATE TABLE callers (
    caller TEXT COLLATE "C" PRIMARY KEY
);

-- The id is the call's, so that a call which is made again is recorded once.
CREATE TABLE audit (
    id BYTEA NOT NULL,
    time BIGINT NOT NULL,
    caller TEXT COLLATE "C" NOT NULL,
    tenant TEXT NOT NULL,
    row BYTEA,
    purpose TEXT NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (caller, id)
) PARTITION BY HASH (caller);
CREATE TABLE audit_0 PARTITION OF audit FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE audit_1 PARTITION OF audit FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE audit_2 PARTITION OF audit FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE audit_3 PARTITION OF audit FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE audit_4 PARTITION OF audit FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE audit_5 PARTITION OF audit FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE audit_6 PARTITION OF audit FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE audit_7 PARTITION OF audit FOR VALUES WITH (MODULUS 8, REMAINDER 7);
CREATE INDEX audit_caller ON audit (caller, time);
