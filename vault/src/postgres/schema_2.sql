-- Version 2: a vault that is one of a set.
CREATE TABLE shard (
    one INT PRIMARY KEY CHECK (one = 1),
    set_id BYTEA NOT NULL CHECK (length(set_id) = 16),
    number BIGINT NOT NULL CHECK (number BETWEEN 1 AND shards),
    shards BIGINT NOT NULL,
    routing_key TEXT NOT NULL,
    check_mac BYTEA NOT NULL CHECK (length(check_mac) = 32)
);

-- Names of requests, and the shard that has the card of each.
CREATE TABLE claims (
    tenant TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    shard BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX claims_ends ON claims (ends);
