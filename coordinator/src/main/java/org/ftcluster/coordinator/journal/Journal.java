package org.ftcluster.coordinator.journal;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.ftcluster.protocol.message.Epoch;

/**
 * A coordinator's journal, open for as long as this is, and whose turn it is to write it. Events
 * themselves are written by Pekko Persistence. Any thread may call; calls wait for the database.
 */
public final class Journal implements AutoCloseable {
  private static final int VALID_SECONDS = 2;

  /** Names the lock on creating tables, among all of a database. */
  private static final long CREATION = 0x6674636c75737472L;

  private final JournalStore store;
  private Connection connection;

  private Journal(JournalStore store, Connection connection) {
    this.store = store;
    this.connection = connection;
  }

  /**
   * Opens a journal, and creates what isn't there yet.
   *
   * @throws NodeStartException when it can't be opened
   */
  public static Journal open(JournalStore store) {
    try {
      Connection connection = store.connect();
      try (Statement statement = connection.createStatement()) {
        createTables(store, statement);
        return new Journal(store, connection);
      } catch (SQLException e) {
        connection.close();
        throw e;
      }
    } catch (SQLException e) {
      throw store.problem(e);
    }
  }

  /** Two coordinators that start together must not both create them. */
  private static void createTables(JournalStore store, Statement statement) throws SQLException {
    if (!store.isShared()) {
      statement.execute(schema(store.schema()));
      return;
    }
    statement.execute("SET lock_timeout = '30s'");
    statement.execute("SELECT pg_advisory_lock(%d)".formatted(CREATION));
    try {
      statement.execute(schema(store.schema()));
    } finally {
      statement.execute("SELECT pg_advisory_unlock(%d)".formatted(CREATION));
    }
  }

  /**
   * Takes the next epoch, durably: from now on whoever acted before is refused.
   *
   * @param coordinator where that is reached with gRPC
   * @throws IllegalStateException when the database doesn't answer
   */
  public synchronized Epoch begin(String coordinator) {
    try {
      Connection open = connection();
      while (true) {
        Epoch last = newest(open);
        Epoch next = new Epoch(last.journal(), last.number() + 1);
        try (PreparedStatement update =
            open.prepareStatement(
                "UPDATE coordinator_epoch SET number = ?, coordinator = ? WHERE id = 1 AND number = ?")) {
          update.setLong(1, next.number());
          update.setString(2, coordinator);
          update.setLong(3, last.number());
          if (update.executeUpdate() == 1) {
            return next;
          }
        }
      }
    } catch (SQLException e) {
      throw new IllegalStateException("no epoch can be begun: " + e.getMessage(), e);
    }
  }

  /**
   * Whether nobody has begun an epoch since.
   *
   * @throws IllegalStateException when the database doesn't answer
   */
  public synchronized boolean isNewest(Epoch epoch) {
    try {
      return newest(connection()).equals(epoch);
    } catch (SQLException e) {
      throw new IllegalStateException("the epoch can't be read: " + e.getMessage(), e);
    }
  }

  /**
   * Where the coordinator is reached that began the newest epoch; empty where none did.
   *
   * @throws IllegalStateException when the database doesn't answer
   */
  public synchronized String acting() {
    try (Statement query = connection().createStatement();
        ResultSet row =
            query.executeQuery("SELECT coordinator FROM coordinator_epoch WHERE id = 1")) {
      return row.next() ? row.getString(1) : "";
    } catch (SQLException e) {
      throw new IllegalStateException("the epoch can't be read: " + e.getMessage(), e);
    }
  }

  /** Who else has it open. */
  public Roster roster() {
    return new Roster(store.isShared(), this::connection);
  }

  private static Epoch newest(Connection connection) throws SQLException {
    try (Statement query = connection.createStatement();
        ResultSet row =
            query.executeQuery("SELECT journal, number FROM coordinator_epoch WHERE id = 1")) {
      if (!row.next()) {
        throw new SQLException("the table coordinator_epoch is empty");
      }
      return new Epoch(row.getString(1), row.getLong(2));
    }
  }

  private synchronized Connection connection() throws SQLException {
    if (!connection.isValid(VALID_SECONDS)) {
      connection.close();
      connection = store.connect();
    }
    return connection;
  }

  /** To be called when the actor system has ended. */
  @Override
  public synchronized void close() {
    try {
      connection.close();
    } catch (SQLException e) {
      throw new IllegalStateException("the journal can't be closed: " + e.getMessage(), e);
    }
  }

  private static String schema(String resource) {
    try (InputStream in = Journal.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException(resource + " is not on the class path");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
