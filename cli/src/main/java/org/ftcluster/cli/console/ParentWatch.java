package org.ftcluster.cli.console;

import java.io.IOException;
import java.io.InputStream;
import picocli.CommandLine.Option;

/**
 * Ends this JVM with the one that started it. The parent holds the other end of our standard input:
 * the system closes it when the parent dies, in whatever way.
 */
public final class ParentWatch {
  public static final String OPTION = "--parent-watch";

  /** As a shell reports a process that ended with a broken pipe. */
  private static final int PARENT_GONE = 141;

  @Option(names = OPTION, hidden = true, description = "End when standard input does.")
  private boolean enabled;

  /** Begins to watch, where that was asked for. */
  public void start() {
    if (enabled) {
      Thread.ofPlatform().name("parent-watch").daemon().start(ParentWatch::haltAtEnd);
    }
  }

  // At once, and without shutdown hooks: a parent that has time for an orderly farewell asks for
  // it.
  private static void haltAtEnd() {
    awaitEnd(System.in);
    Runtime.getRuntime().halt(PARENT_GONE);
  }

  private static void awaitEnd(InputStream input) {
    try {
      while (input.read() >= 0) {
        // The parent has nothing to say; only the end counts.
      }
    } catch (IOException e) {
      // A broken pipe is an end, too.
    }
  }
}
