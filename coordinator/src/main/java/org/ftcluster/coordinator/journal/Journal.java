package org.ftcluster.coordinator.journal;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Map;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.h2.api.ErrorCode;
import org.h2.tools.RunScript;

/**
 * The H2 file that holds a coordinator's events, open for as long as this is. Only one coordinator
 * at a time can have a folder's journal open.
 */
public final class Journal implements AutoCloseable {
  private static final String SCHEMA = "/journal-h2.sql";

  private final Connection connection;

  private Journal(Connection connection) {
    this.connection = connection;
  }

  /** Tells Pekko Persistence where the journal of {@code folder} is. */
  public static Config config(Path folder) {
    return ConfigFactory.parseMap(Map.of("jdbc-journal.slick.db.url", url(folder)))
        .withFallback(ConfigFactory.parseResources("coordinator.conf"));
  }

  /**
   * Opens the journal in {@code folder}, and creates what isn't there yet.
   *
   * @throws NodeStartException when the folder can't be written, or another coordinator has it open
   */
  public static Journal open(Path folder) {
    try {
      Files.createDirectories(folder);
      Journal journal = new Journal(DriverManager.getConnection(url(folder)));
      try (Reader schema = schema()) {
        RunScript.execute(journal.connection, schema);
        return journal;
      } catch (IOException | SQLException e) {
        journal.close();
        throw e;
      }
    } catch (IOException e) {
      throw new NodeStartException(
          "The data folder %s can't be created: %s.".formatted(folder, e.getMessage()), e);
    } catch (SQLException e) {
      throw new NodeStartException(
          e.getErrorCode() == ErrorCode.DATABASE_ALREADY_OPEN_1
              ? "Another coordinator uses the data folder %s; give each its own.".formatted(folder)
              : "The journal in %s can't be opened: %s.".formatted(folder, e.getMessage()),
          e);
    }
  }

  /** To be called when the actor system has ended. */
  @Override
  public void close() {
    try {
      connection.close();
    } catch (SQLException e) {
      throw new IllegalStateException("the journal can't be closed: " + e.getMessage(), e);
    }
  }

  private static String url(Path folder) {
    Path file = folder.toAbsolutePath().resolve("journal");
    // WRITE_DELAY=0: a commit is in the file when it returns, and survives the process.
    return "jdbc:h2:file:%s;WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE"
        .formatted(file.toString().replace(";", "\\;"));
  }

  private static Reader schema() {
    InputStream in = Journal.class.getResourceAsStream(SCHEMA);
    if (in == null) {
      throw new IllegalStateException(SCHEMA + " is not on the class path");
    }
    return new InputStreamReader(in, StandardCharsets.UTF_8);
  }
}
