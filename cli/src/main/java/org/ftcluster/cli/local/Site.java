package org.ftcluster.cli.local;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import org.ftcluster.cli.console.CommandException;

/**
 * Where a node on this machine is. Ports of 0 are any free ones.
 *
 * @param host an address of this machine, where it listens
 * @param advertised what other nodes connect to, on the same ports
 * @param clusterPort where other nodes join
 * @param servicePort a coordinator's for gRPC, a worker's for collectives
 */
public record Site(String host, String advertised, int clusterPort, int servicePort) {
  /** Any free ports of an address that others reach as it is. */
  public static Site on(String host) {
    return new Site(host, host, 0, 0);
  }

  /** On ports that are known before it starts: such as nobody listens on, at the moment. */
  public static Site withFreePorts(String host, String advertised) {
    return new Site(host, advertised, freePort(host), freePort(host));
  }

  /** Of an address of this machine. */
  public static int freePort(String host) {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getByName(host))) {
      return socket.getLocalPort();
    } catch (IOException e) {
      throw CommandException.failed("no port of %s is free: %s".formatted(host, e.getMessage()))
          .because(e);
    }
  }
}
