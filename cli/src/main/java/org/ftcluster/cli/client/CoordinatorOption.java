package org.ftcluster.cli.client;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Which coordinator a client command talks to. */
public final class CoordinatorOption {
  /** Where a coordinator listens unless told otherwise. */
  public static final String DEFAULT = "127.0.0.1:7600";

  @Option(
      names = "--coordinator",
      paramLabel = "HOST:PORT[,...]",
      converter = Addresses.Converter.class,
      defaultValue = "${env:FTCLUSTER_COORDINATOR:-" + DEFAULT + "}",
      description =
          "The coordinator, or several of one cluster, else FTCLUSTER_COORDINATOR, else "
              + DEFAULT
              + ".")
  private Addresses address = Addresses.parse(DEFAULT);

  @Mixin private TlsOption tls = new TlsOption();

  public Addresses address() {
    return address;
  }

  public TlsOption tls() {
    return tls;
  }

  public CoordinatorClient connect() {
    return new CoordinatorClient(address, tls.ofClient());
  }
}
