package org.ftcluster.coordinator.journal;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.h2.api.ErrorCode;

/** Where a journal is kept. */
public sealed interface JournalStore {
  /** Tells Pekko Persistence where the journal is. */
  Config config();

  /** Whether several coordinators can have it open at once. */
  boolean isShared();

  /** Opens a connection to it, with automatic commit. */
  Connection connect() throws SQLException;

  /** The resource that creates the tables, where they aren't there. */
  String schema();

  /** What is wrong, in a sentence. */
  NodeStartException problem(SQLException e);

  /**
   * An H2 file in a folder of its own. Only one process at a time can have it open.
   *
   * @param folder created when it isn't there
   */
  record H2File(Path folder) implements JournalStore {
    @Override
    public Config config() {
      return ConfigFactory.parseMap(Map.of("jdbc-journal.slick.db.url", url()))
          .withFallback(ConfigFactory.parseResources("coordinator.conf"));
    }

    @Override
    public boolean isShared() {
      return false;
    }

    @Override
    public Connection connect() throws SQLException {
      try {
        Files.createDirectories(folder);
      } catch (IOException e) {
        throw new NodeStartException(
            "The data folder %s can't be created: %s.".formatted(folder, e.getMessage()), e);
      }
      return DriverManager.getConnection(url());
    }

    @Override
    public String schema() {
      return "/journal-h2.sql";
    }

    @Override
    public NodeStartException problem(SQLException e) {
      return new NodeStartException(
          e.getErrorCode() == ErrorCode.DATABASE_ALREADY_OPEN_1
              ? "Another coordinator uses the data folder %s; give each its own.".formatted(folder)
              : "The journal in %s can't be opened: %s.".formatted(folder, e.getMessage()),
          e);
    }

    private String url() {
      Path file = folder.toAbsolutePath().resolve("journal");
      // WRITE_DELAY=0: a commit is in the file when it returns, and survives the process.
      return "jdbc:h2:file:%s;WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE"
          .formatted(file.toString().replace(";", "\\;"));
    }
  }

  /**
   * A PostgreSQL database, of version 14 or later, that coordinators share.
   *
   * @param url {@code jdbc:postgresql://HOST:PORT/DATABASE}
   * @param user empty for what the URL, or PostgreSQL's own defaults, say
   */
  record Postgresql(String url, String user, String password) implements JournalStore {
    private static final int CONNECT_SECONDS = 5;

    /** Nothing waits longer for an answer. */
    private static final int ANSWER_SECONDS = 10;

    /** A coordinator that is paused in the middle of a write mustn't keep the next waiting. */
    private static final String OPTIONS = "-c idle_in_transaction_session_timeout=3000";

    @Override
    public Config config() {
      Map<String, Object> settings = new HashMap<>();
      settings.put("db.url", url);
      if (!user.isEmpty()) {
        settings.put("db.user", user);
        settings.put("db.password", password);
      }
      settings.put("db.properties.options", OPTIONS);
      settings.put("db.properties.connectTimeout", CONNECT_SECONDS);
      settings.put("db.properties.socketTimeout", ANSWER_SECONDS);
      return ConfigFactory.parseMap(settings)
          .atPath("jdbc-journal.slick")
          .withFallback(ConfigFactory.parseResources("coordinator-postgresql.conf"))
          .withFallback(ConfigFactory.parseResources("coordinator.conf"));
    }

    @Override
    public boolean isShared() {
      return true;
    }

    @Override
    public Connection connect() throws SQLException {
      Properties properties = new Properties();
      if (!user.isEmpty()) {
        properties.setProperty("user", user);
        properties.setProperty("password", password);
      }
      properties.setProperty("options", OPTIONS);
      properties.setProperty("connectTimeout", String.valueOf(CONNECT_SECONDS));
      properties.setProperty("socketTimeout", String.valueOf(ANSWER_SECONDS));
      return DriverManager.getConnection(url, properties);
    }

    @Override
    public String schema() {
      return "/journal-postgresql.sql";
    }

    @Override
    public NodeStartException problem(SQLException e) {
      return new NodeStartException(
          "The database %s can't be used: %s".formatted(withoutCredentials(), e.getMessage()), e);
    }

    private String withoutCredentials() {
      return url.replaceFirst("\\?.*", "");
    }

    @Override
    public String toString() {
      return withoutCredentials();
    }
  }
}
