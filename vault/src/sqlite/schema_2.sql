-- Version 2: a vault that is one of a set.
CREATE TABLE shard (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    set_id BLOB NOT NULL CHECK (length(set_id) = 16),
    number INTEGER NOT NULL CHECK (number BETWEEN 1 AND shards),
    shards INTEGER NOT NULL,
    routing_key TEXT NOT NULL,
    check_mac BLOB NOT NULL CHECK (length(check_mac) = 32)
) STRICT;

-- Names of requests, and the shard that has the card of each.
CREATE TABLE claims (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    shard INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;
CREATE INDEX claims_ends ON claims (ends);
