package org.ftcluster.worker.collective;

import org.ftcluster.protocol.security.Protection;

/**
 * Where a rank listens for others.
 *
 * @param host an address of this machine
 * @param port 0 for any free one
 * @param advertised what others connect to, on the same port
 * @param protection of the connections, the same on all ranks
 */
public record ListenAddress(String host, int port, String advertised, Protection protection) {
  /** Any free port of an address of loopback. */
  public static ListenAddress on(String host) {
    return new ListenAddress(host, 0, host, new Protection.LoopbackOnly());
  }
}
