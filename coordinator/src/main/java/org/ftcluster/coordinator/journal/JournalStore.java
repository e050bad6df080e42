package org.ftcluster.coordinator.journal;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Map;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.h2.api.ErrorCode;

/** Where a journal is kept. */
public sealed interface JournalStore {
  /** Tells Pekko Persistence where the journal is. */
  Config config();

  /** Opens a connection to it. */
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
}
