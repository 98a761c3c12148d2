-- +goose Up
CREATE TABLE call_leg (
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call              TEXT   NOT NULL, -- global id, as in call_record
    node              TEXT   NOT NULL,
    party             BIGINT NOT NULL,
    leg               BIGINT NOT NULL, -- with node and setup_at: which leg
    device            TEXT   NOT NULL,
    trunk             TEXT   NOT NULL,
    applet            TEXT   NOT NULL,
    feature           TEXT   NOT NULL, -- of ours it took part in, comma separated
    line              TEXT   NOT NULL,
    line_partition    TEXT   NOT NULL,
    direction         TEXT   NOT NULL, -- in, out: as seen from here
    joined            TEXT   NOT NULL, -- calls it was in before, by global id
    calling           TEXT   NOT NULL,
    called            TEXT   NOT NULL,
    dialled           TEXT   NOT NULL,
    redirecting       TEXT   NOT NULL,
    redirect_reason   TEXT   NOT NULL,
    connected         TEXT   NOT NULL,
    setup_at          BIGINT NOT NULL,
    alert_at          BIGINT NOT NULL, -- 0: never
    answer_at         BIGINT NOT NULL, -- 0: never
    end_at            BIGINT NOT NULL,
    outcome           TEXT   NOT NULL,
    cause             BIGINT NOT NULL, -- Q.850
    cause_name        TEXT   NOT NULL,
    released_by       TEXT   NOT NULL,
    signalling        TEXT   NOT NULL,
    signalling_cipher TEXT   NOT NULL,
    media             TEXT   NOT NULL,
    media_suite       TEXT   NOT NULL,
    lock              TEXT   NOT NULL,
    lock_reason       TEXT   NOT NULL,
    proof             TEXT   NOT NULL,
    media_path        TEXT   NOT NULL,
    codec             TEXT   NOT NULL,
    measured_by       TEXT   NOT NULL,
    packets_sent      BIGINT NOT NULL,
    packets_received  BIGINT NOT NULL,
    packets_lost      BIGINT NOT NULL,
    jitter_ms         DOUBLE PRECISION NOT NULL,
    mos               DOUBLE PRECISION NOT NULL
);
CREATE INDEX call_leg_setup ON call_leg (setup_at);
CREATE INDEX call_leg_call ON call_leg (call);

-- +goose Down
DROP TABLE call_leg;
