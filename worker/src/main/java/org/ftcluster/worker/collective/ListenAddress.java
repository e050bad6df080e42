package org.ftcluster.worker.collective;

/**
 * Where a rank listens for others.
 *
 * @param host an address of this machine
 * @param port 0 for any free one
 * @param advertised what others connect to, on the same port
 */
public record ListenAddress(String host, int port, String advertised) {
  /** Any free port of an address that others reach as it is. */
  public static ListenAddress on(String host) {
    return new ListenAddress(host, 0, host);
  }
}
