# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of a run's database, which `fuzz/store.py` reads and writes."""

from __future__ import annotations

VERSION = "2"

SCHEMA = """
-- What was run: version (of this schema), seed, kernel, module, campaigns (their names), jobs,
-- limits (of cases, seconds and findings, as JSON), started and finished (seconds since
-- 1970), ended (why the run ended; not there if it was killed), kmemleak (1 if guests ask it
-- what is lost; else not there).
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE campaign (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    started REAL NOT NULL       -- seconds since 1970
);

-- The parts of a campaign: of its cases one runs those whose digest is `number` modulo `count`.
CREATE TABLE shard (
    campaign INTEGER NOT NULL REFERENCES campaign (id),
    number INTEGER NOT NULL,    -- from 0
    count INTEGER NOT NULL,
    seconds REAL NOT NULL,      -- how long cases were run, without booting
    PRIMARY KEY (campaign, number)
) WITHOUT ROWID;

CREATE TABLE cases (
    id INTEGER PRIMARY KEY,     -- what 'replay' takes
    campaign INTEGER NOT NULL REFERENCES campaign (id),
    shard INTEGER NOT NULL,     -- its number
    boot INTEGER NOT NULL,      -- which boot of the shard's guest, from 1
    sent REAL NOT NULL,         -- by the clock of the runner's host, seconds since 1970
    name TEXT NOT NULL,         -- request and mutations
    script BLOB NOT NULL,       -- exact bytes: the steps of fuzz/script.py
    earliest INTEGER NOT NULL,  -- the guest's clock when it was sent, ns since 1970
    latest INTEGER,             -- and when it had been judged
    creation INTEGER NOT NULL,  -- when the guest's replay tables had been made
    expected TEXT,              -- the model's verdicts: 'dgram OK 2, dgram REPLAY 1'
    counted TEXT,               -- the module's; of cases sent together each one's part of the sum
    authenticated INTEGER,      -- 1 if the module authenticated a record of it
    strict INTEGER,             -- 0 if the clock left two outcomes open
    outcome TEXT                -- 'agree' or a finding's kind; NULL if never known
);

CREATE TABLE finding (
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaign (id),
    kind TEXT NOT NULL,         -- crash, hang, disagreement, leak
    title TEXT NOT NULL,
    detail TEXT NOT NULL,       -- of the first case
    log TEXT NOT NULL,          -- the kernel's report, if there is one
    first INTEGER NOT NULL REFERENCES cases (id),
    count INTEGER NOT NULL,     -- how many cases showed it
    UNIQUE (campaign, kind, title)
);

-- How many edges of the module's code (fuzz/coverage/guest.py) had been taken, now and then,
-- in a run with a corpus: by its cases so far and by those of the corpus.
CREATE TABLE coverage (
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaign (id),
    sent REAL NOT NULL,         -- as in cases
    edges INTEGER NOT NULL
);
"""
