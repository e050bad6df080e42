package org.ftcluster.cli.node;

import java.nio.file.Path;
import java.util.Objects;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.coordinator.journal.JournalStore;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where coordinators that share their jobs keep them. */
final class DatabaseOptions {
  private static final String POSTGRESQL = "jdbc:postgresql:";
  private static final String USER = "FTCLUSTER_DATABASE_USER";
  private static final String PASSWORD = "FTCLUSTER_DATABASE_PASSWORD";

  @Option(
      names = "--database",
      paramLabel = "URL",
      defaultValue = "${env:FTCLUSTER_DATABASE}",
      description =
          "A PostgreSQL database (14 or later) that several coordinators share, as"
              + " jdbc:postgresql://HOST:PORT/NAME; else FTCLUSTER_DATABASE. User and password come"
              + " from "
              + USER
              + " and "
              + PASSWORD
              + ".")
  private @Nullable String url;

  /** In the database, or else in a folder. */
  JournalStore journalOr(Path folder) {
    if (url == null || url.isBlank()) {
      return new JournalStore.H2File(folder);
    }
    if (!url.startsWith(POSTGRESQL)) {
      throw CommandException.badRequest(
          "--database must begin with %s//, for instance %s//10.0.0.9/ftcluster"
              .formatted(POSTGRESQL, POSTGRESQL));
    }
    return new JournalStore.Postgresql(url, environment(USER), environment(PASSWORD));
  }

  private static String environment(String name) {
    return Objects.requireNonNullElse(System.getenv(name), "");
  }
}
