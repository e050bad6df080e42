package org.ftcluster.cli.local;

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
}
