-- The tables of pekko-persistence-jdbc's journal, as its schema/h2/h2-create-schema.sql has them.
CREATE TABLE IF NOT EXISTS PUBLIC."event_journal" (
  "ordering" BIGINT UNIQUE NOT NULL AUTO_INCREMENT,
  "deleted" BOOLEAN DEFAULT false NOT NULL,
  "persistence_id" VARCHAR(255) NOT NULL,
  "sequence_number" BIGINT NOT NULL,
  "writer" VARCHAR NOT NULL,
  "write_timestamp" BIGINT NOT NULL,
  "adapter_manifest" VARCHAR NOT NULL,
  "event_payload" BLOB NOT NULL,
  "event_ser_id" INTEGER NOT NULL,
  "event_ser_manifest" VARCHAR NOT NULL,
  "meta_payload" BLOB,
  "meta_ser_id" INTEGER,
  "meta_ser_manifest" VARCHAR,
  PRIMARY KEY ("persistence_id", "sequence_number")
);

CREATE TABLE IF NOT EXISTS PUBLIC."event_tag" (
  "event_id" BIGINT NOT NULL,
  "tag" VARCHAR NOT NULL,
  PRIMARY KEY ("event_id", "tag"),
  CONSTRAINT fk_event_journal
    FOREIGN KEY ("event_id") REFERENCES "event_journal" ("ordering") ON DELETE CASCADE
);

-- Whose turn it is to act: one row, whose number each coordinator that begins to act raises.
CREATE TABLE IF NOT EXISTS PUBLIC.coordinator_epoch (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  journal VARCHAR(36) NOT NULL,
  number BIGINT NOT NULL,
  coordinator VARCHAR NOT NULL
);

INSERT INTO PUBLIC.coordinator_epoch (id, journal, number, coordinator)
  SELECT 1, CAST(RANDOM_UUID() AS VARCHAR), 0, ''
  WHERE NOT EXISTS (SELECT 1 FROM PUBLIC.coordinator_epoch);

-- The coordinator of this file, and when it was last heard of.
CREATE TABLE IF NOT EXISTS PUBLIC.coordinator (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  grpc VARCHAR NOT NULL,
  node VARCHAR NOT NULL,
  pid BIGINT NOT NULL,
  seen TIMESTAMP WITH TIME ZONE NOT NULL
);
