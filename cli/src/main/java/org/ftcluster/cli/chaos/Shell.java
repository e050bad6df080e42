package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.ftcluster.cli.console.CommandException;

/** Runs the system's own programs. */
final class Shell {
  private static final Duration TIMEOUT = Duration.ofSeconds(20);

  private Shell() {}

  /**
   * Runs a program to its end.
   *
   * @throws CommandException when it fails, with its own words
   */
  static void run(String... command) {
    String line = String.join(" ", command);
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      process.getOutputStream().close();
      if (!process.waitFor(TIMEOUT.toSeconds(), TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw CommandException.failed(
            "`%s` did not end within %d s".formatted(line, TIMEOUT.toSeconds()));
      }
      if (process.exitValue() != 0) {
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        throw CommandException.failed("`%s` failed: %s".formatted(line, said.strip()));
      }
    } catch (IOException e) {
      throw CommandException.failed("`%s` can't be run: %s".formatted(line, e.getMessage()))
          .because(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted").because(e);
    }
  }

  /**
   * Starts a script that goes on by itself, and ends even when this process dies: so no process
   * that it stops stays stopped.
   */
  static Process start(String script) {
    try {
      return new ProcessBuilder(List.of("sh", "-c", script))
          .redirectInput(ProcessBuilder.Redirect.from(new java.io.File("/dev/null")))
          .redirectErrorStream(true)
          .redirectOutput(ProcessBuilder.Redirect.DISCARD)
          .start();
    } catch (IOException e) {
      throw CommandException.failed("sh can't be run: " + e.getMessage()).because(e);
    }
  }
}
