package org.ftcluster.cli.model;

import java.nio.file.Path;
import org.ftcluster.protocol.security.Credentials;
import org.ftcluster.protocol.security.Protection;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which collectives {@code bench} times, if it does. */
final class CollectiveOptions {
  @Option(
      names = "--collectives",
      description =
          "Time the collectives among 2 to 4 ranks over loopback, beside a plain stream of bytes."
              + " No model is run.")
  private boolean only;

  @Option(
      names = "--sockets",
      paramLabel = "N",
      defaultValue = "1",
      description = "With --collectives: sockets between two ranks (default: 1).")
  private int sockets;

  @Option(
      names = "--tls",
      paramLabel = "FOLDER",
      description = "With --collectives: encrypt them, by keys that `ftcluster keys` has made.")
  private @Nullable Path keys;

  boolean only() {
    return only;
  }

  int sockets() {
    return sockets;
  }

  /**
   * Of their connections.
   *
   * @throws org.ftcluster.protocol.security.BadCredentialsException when the keys are none
   */
  Protection protection() {
    return keys == null
        ? new Protection.LoopbackOnly()
        : new Protection.Tls(Credentials.read(keys));
  }
}
