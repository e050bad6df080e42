package org.ftcluster.cli.client;

import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.Status;
import io.grpc.StatusOr;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.List;
import java.util.Objects;

/** Lets a channel have several addresses: it uses the first that can be connected to. */
final class AddressResolver extends NameResolverProvider {
  private static final String SCHEME = "ftcluster";
  private static final int PRIORITY = 5;

  static {
    NameResolverRegistry.getDefaultRegistry().register(new AddressResolver());
  }

  /** What a channel to them is made for. */
  static String target(Addresses addresses) {
    return SCHEME + ":///" + addresses;
  }

  @Override
  protected boolean isAvailable() {
    return true;
  }

  @Override
  protected int priority() {
    return PRIORITY;
  }

  @Override
  public String getDefaultScheme() {
    return SCHEME;
  }

  @Override
  public NameResolver newNameResolver(URI target, NameResolver.Args args) {
    return new Resolver(Addresses.parse(Objects.requireNonNull(target.getPath()).substring(1)));
  }

  private static final class Resolver extends NameResolver {
    private final Addresses addresses;

    Resolver(Addresses addresses) {
      this.addresses = addresses;
    }

    @Override
    public String getServiceAuthority() {
      return addresses.first().toString();
    }

    @Override
    public void start(Listener2 listener) {
      List<EquivalentAddressGroup> known =
          addresses.all().stream()
              .map(address -> new InetSocketAddress(address.host(), address.port()))
              .filter(address -> !address.isUnresolved())
              .map(EquivalentAddressGroup::new)
              .toList();
      listener.onResult(
          ResolutionResult.newBuilder()
              .setAddressesOrError(
                  known.isEmpty()
                      ? StatusOr.fromStatus(
                          Status.UNAVAILABLE.withDescription("Unable to resolve host"))
                      : StatusOr.fromValue(known))
              .build());
    }

    @Override
    public void shutdown() {}
  }
}
