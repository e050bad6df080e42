package org.ftcluster.coordinator.journal;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/**
 * The coordinators of a journal, as they sign themselves in there. The database's clock, which all
 * of them share, says when each was last seen. Methods throw {@link IllegalStateException} when the
 * database doesn't answer; calls come from one thread at a time.
 */
public final class Roster {
  /** A coordinator that hasn't signed for so long is gone. It signs every second. */
  public static final int SILENCE_SECONDS = 5;

  /** For how long one that is gone is remembered. */
  private static final int FORGET_SECONDS = 3_600;

  /** Gives a connection that is open. */
  @FunctionalInterface
  interface Connections {
    Connection get() throws SQLException;
  }

  /**
   * A coordinator.
   *
   * @param id grows with each that signs in
   * @param grpc where clients reach it
   * @param node where other nodes reach it
   * @param seen whether it was there within the last seconds
   */
  public record Entry(long id, String grpc, String node, long pid, boolean seen) {}

  private final boolean shared;
  private final Connections connections;

  Roster(boolean shared, Connections connections) {
    this.shared = shared;
    this.connections = connections;
  }

  /**
   * Signs this process in.
   *
   * @return its id
   */
  public long signIn(String grpc, String node) {
    try (PreparedStatement insert =
        connections
            .get()
            .prepareStatement(
                "INSERT INTO coordinator (grpc, node, pid, seen) VALUES (?, ?, ?, CURRENT_TIMESTAMP)",
                Statement.RETURN_GENERATED_KEYS)) {
      insert.setString(1, grpc);
      insert.setString(2, node);
      insert.setLong(3, ProcessHandle.current().pid());
      insert.executeUpdate();
      try (ResultSet keys = insert.getGeneratedKeys()) {
        keys.next();
        return keys.getLong("id");
      }
    } catch (SQLException e) {
      throw failure(e);
    }
  }

  /** Signs again. */
  public void sign(long id) {
    update("UPDATE coordinator SET seen = CURRENT_TIMESTAMP WHERE id = " + id);
  }

  /** Signs this process out, and forgets those that are long gone. */
  public void signOut(long id) {
    update(
        "DELETE FROM coordinator WHERE id = %d OR seen < CURRENT_TIMESTAMP - INTERVAL '%d' SECOND"
            .formatted(id, FORGET_SECONDS));
  }

  /** All others; none where nobody else can have the journal open. */
  public List<Entry> others(long id) {
    return shared ? all().stream().filter(entry -> entry.id() != id).toList() : List.of();
  }

  /** All, in the order in which they signed in. */
  public List<Entry> all() {
    try (Statement query = connections.get().createStatement();
        ResultSet rows =
            query.executeQuery(
                "SELECT id, grpc, node, pid, seen > CURRENT_TIMESTAMP - INTERVAL '%d' SECOND FROM coordinator ORDER BY id"
                    .formatted(SILENCE_SECONDS))) {
      List<Entry> entries = new ArrayList<>();
      while (rows.next()) {
        entries.add(
            new Entry(
                rows.getLong(1),
                rows.getString(2),
                rows.getString(3),
                rows.getLong(4),
                rows.getBoolean(5)));
      }
      return entries;
    } catch (SQLException e) {
      throw failure(e);
    }
  }

  private void update(String sql) {
    try (Statement statement = connections.get().createStatement()) {
      statement.executeUpdate(sql);
    } catch (SQLException e) {
      throw failure(e);
    }
  }

  private static IllegalStateException failure(SQLException e) {
    return new IllegalStateException(
        "the database doesn't say which coordinators there are: " + e.getMessage(), e);
  }
}
