package org.ftcluster.cli.client;

import picocli.CommandLine.Option;

/** Which coordinator a client command talks to. */
public final class CoordinatorOption {
  /** Where a coordinator listens unless told otherwise. */
  public static final String DEFAULT = "127.0.0.1:7600";

  @Option(
      names = "--coordinator",
      paramLabel = "HOST:PORT",
      converter = Address.Converter.class,
      defaultValue = "${env:FTCLUSTER_COORDINATOR:-" + DEFAULT + "}",
      description = "The coordinator, else FTCLUSTER_COORDINATOR, else " + DEFAULT + ".")
  private Address address = Address.parse(DEFAULT);

  public Address address() {
    return address;
  }

  public CoordinatorClient connect() {
    return new CoordinatorClient(address);
  }
}
