-- The tables of pekko-persistence-jdbc's journal, as its schema/postgres/postgres-create-schema.sql has them.
CREATE TABLE IF NOT EXISTS event_journal (
  ordering BIGSERIAL,
  persistence_id VARCHAR(255) NOT NULL,
  sequence_number BIGINT NOT NULL,
  deleted BOOLEAN DEFAULT FALSE NOT NULL,
  writer VARCHAR(255) NOT NULL,
  write_timestamp BIGINT,
  adapter_manifest VARCHAR(255),
  event_ser_id INTEGER NOT NULL,
  event_ser_manifest VARCHAR(255) NOT NULL,
  event_payload BYTEA NOT NULL,
  meta_ser_id INTEGER,
  meta_ser_manifest VARCHAR(255),
  meta_payload BYTEA,
  PRIMARY KEY (persistence_id, sequence_number)
);

CREATE UNIQUE INDEX IF NOT EXISTS event_journal_ordering_idx ON event_journal (ordering);

CREATE TABLE IF NOT EXISTS event_tag (
  event_id BIGINT,
  tag VARCHAR(256),
  PRIMARY KEY (event_id, tag),
  CONSTRAINT fk_event_journal
    FOREIGN KEY (event_id) REFERENCES event_journal (ordering) ON DELETE CASCADE
);

-- Whose turn it is to act: one row, whose number each coordinator that begins to act raises.
CREATE TABLE IF NOT EXISTS coordinator_epoch (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  journal VARCHAR(36) NOT NULL,
  number BIGINT NOT NULL,
  coordinator VARCHAR(255) NOT NULL
);

INSERT INTO coordinator_epoch (id, journal, number, coordinator)
  SELECT 1, gen_random_uuid()::text, 0, ''
  WHERE NOT EXISTS (SELECT 1 FROM coordinator_epoch);

-- Coordinators of this database, and when each was last heard of.
CREATE TABLE IF NOT EXISTS coordinator (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  grpc VARCHAR(255) NOT NULL,
  node VARCHAR(255) NOT NULL,
  pid BIGINT NOT NULL,
  seen TIMESTAMP WITH TIME ZONE NOT NULL
);

-- Every event says in which epoch it was written. The row is locked until the write is done, so a
-- new epoch begins after the last write of the one before, and from then on refuses its writes.
CREATE OR REPLACE FUNCTION refuse_old_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  newest BIGINT;
BEGIN
  SELECT number INTO newest FROM coordinator_epoch WHERE id = 1 FOR SHARE;
  IF NEW.adapter_manifest IS DISTINCT FROM newest::text THEN
    RAISE EXCEPTION 'a coordinator of epoch % must not write, since epoch % has begun',
      NEW.adapter_manifest, newest;
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER refuse_old_epoch BEFORE INSERT ON event_journal
  FOR EACH ROW EXECUTE FUNCTION refuse_old_epoch();
