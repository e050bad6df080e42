package org.ftcluster.cli.jvm;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Where this command lies, and what JVMs of it have from there: the jar, and what an earlier JVM
 * kept of its start (JEP 514), with which they are ready after less processor time. {@code
 * cli/record-start} makes that. Where there is none, or one of another JDK or build, a JVM starts
 * as any does, and silently so.
 */
public final class Installation {
  /** The folder; not set where the command isn't run from a jar. */
  private static final String HOME = "ftcluster.home";

  /** Set where JVMs are started for no other purpose than to be kept. */
  private static final String RECORD = "ftcluster.record";

  /** Says nothing of a cache that another JDK or build left, which is passed over. */
  private static final String QUIET = "-Xlog:aot*=off,cds*=off";

  private Installation() {}

  /** Whether JVMs write theirs when they end, which takes them some seconds. */
  static boolean isRecorded() {
    return Boolean.getBoolean(RECORD);
  }

  /** The class path of a JVM of ours. */
  public static String classPath() {
    return classPath(System.getProperty(HOME));
  }

  static String classPath(@Nullable String home) {
    return home == null
        ? System.getProperty("java.class.path")
        : target(home).resolve("ftcluster.jar").toString();
  }

  /** What a JVM of that command is given: where it lies, and what is kept of an earlier start. */
  public static List<String> flags(String command) {
    return flags(command, System.getProperty(HOME), isRecorded());
  }

  static List<String> flags(String command, @Nullable String home, boolean recorded) {
    if (home == null) {
      return List.of();
    }
    List<String> flags = new ArrayList<>();
    flags.add("-D" + HOME + "=" + home);
    Path file = target(home).resolve(kept(command) + ".aot");
    if (recorded) {
      flags.addAll(List.of("-XX:AOTCacheOutput=" + file, QUIET));
    } else if (Files.isRegularFile(file)) {
      flags.addAll(List.of("-XX:AOTCache=" + file, QUIET));
    }
    return flags;
  }

  /** As {@code cli/ftcluster} has it. */
  private static String kept(String command) {
    return switch (command) {
      case "coordinator" -> "coordinator";
      case "worker", "eval", "generate", "merge", "bench", "validate", "plan", "mesh" -> "worker";
      default -> "client";
    };
  }

  private static Path target(String home) {
    return Path.of(home, "cli", "target").normalize();
  }
}
