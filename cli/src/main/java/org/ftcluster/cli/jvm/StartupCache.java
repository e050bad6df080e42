package org.ftcluster.cli.jvm;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What JVMs of a command load and link when they start, kept from an earlier one (JEP 514), with
 * which they are ready after less processor time. {@code cli/record-start} makes it. Where there is
 * none, or one of another JDK or build, a JVM starts as any does, and silently so.
 */
final class StartupCache {
  /** Where the installation lies. */
  private static final String HOME = "ftcluster.home";

  /** Set where JVMs are started for no other purpose than to be kept. */
  private static final String RECORD = "ftcluster.record";

  /** Says nothing of a cache that another JDK or build left, which is passed over. */
  private static final String QUIET = "-Xlog:aot*=off,cds*=off";

  private StartupCache() {}

  /** Whether JVMs write theirs when they end, which takes them some seconds. */
  static boolean isRecorded() {
    return Boolean.getBoolean(RECORD);
  }

  /** All that compute load the same. */
  private static String kept(String command) {
    return command.equals("coordinator") ? command : "worker";
  }

  /** For a JVM of that command. */
  static List<String> flags(String command) {
    return flags(command, System.getProperty(HOME), isRecorded());
  }

  static List<String> flags(String command, @Nullable String home, boolean recorded) {
    if (home == null) {
      return List.of();
    }
    Path file = Path.of(home, "cli", "target", kept(command) + ".aot");
    if (recorded) {
      return List.of("-XX:AOTCacheOutput=" + file, QUIET);
    }
    return Files.isRegularFile(file) ? List.of("-XX:AOTCache=" + file, QUIET) : List.of();
  }
}
