package org.ftcluster.cli.client;

import java.nio.file.Path;
import java.util.List;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.protocol.security.Credentials;
import org.ftcluster.protocol.security.Protection;
import picocli.CommandLine.Option;

/** What makes a command a member of a cluster whose connections are encrypted. */
public final class TlsOption {
  public static final String OPTION = "--tls";

  private static final String INSECURE = "--insecure";

  /** Whatever the environment says. */
  private static final String NONE = "none";

  @Option(
      names = OPTION,
      paramLabel = "FOLDER",
      defaultValue = "${env:FTCLUSTER_TLS:-" + NONE + "}",
      description =
          "The cluster's keys, as `ftcluster keys` makes them, else FTCLUSTER_TLS: all connections are"
              + " encrypted, and only who has such keys takes part (default: none, and no encryption).")
  private String folder = NONE;

  public boolean isGiven() {
    return !folder.equals(NONE);
  }

  /** Of a client's connections, which may go anywhere. */
  public Protection ofClient() {
    return isGiven() ? read() : new Protection.Insecure();
  }

  /**
   * Of a node's connections.
   *
   * @param insecure whether others may connect without anything
   */
  public Protection ofNode(boolean insecure) {
    if (!isGiven()) {
      return insecure ? new Protection.Insecure() : new Protection.LoopbackOnly();
    }
    if (insecure) {
      throw CommandException.badRequest(
          "%s %s protects all connections, and %s none; leave one of them out (FTCLUSTER_TLS may have been set, too)"
              .formatted(OPTION, folder, INSECURE));
    }
    return read();
  }

  /** For the command line of another process, whatever it finds in its environment. */
  public List<String> arguments() {
    return List.of(OPTION, folder);
  }

  private Protection read() {
    if (folder.isBlank()) {
      throw CommandException.badRequest(
          "%s is empty; give a folder of keys, or %s".formatted(OPTION, NONE));
    }
    return new Protection.Tls(Credentials.read(Path.of(folder)));
  }
}
