package org.ftcluster.coordinator.api;

import io.grpc.Server;
import io.grpc.ServerInterceptors;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.cluster.BindAddress;
import org.ftcluster.protocol.security.Protection;

/** The gRPC server of a coordinator. */
public final class ApiServer implements AutoCloseable {
  private static final int MAX_REQUEST_BYTES = JobFile.MAX_BYTES + 64 * 1024;
  private static final long SHUTDOWN_SECONDS = 2;

  private final Server server;
  private final Forwarding forwarding;

  private ApiServer(Server server, Forwarding forwarding) {
    this.server = server;
    this.forwarding = forwarding;
  }

  /**
   * Listens when this returns; calls are answered as soon as the coordinator's singleton runs.
   *
   * @param port 0 for any free one
   * @throws org.ftcluster.protocol.cluster.NodeStartException when the port is taken
   */
  public static ApiServer start(
      InetAddress host,
      int port,
      Protection protection,
      ApiService service,
      Forwarding forwarding) {
    try {
      return new ApiServer(
          ApiConnections.server(new InetSocketAddress(host, port), protection)
              .addService(ServerInterceptors.intercept(service, forwarding))
              .maxInboundMessageSize(MAX_REQUEST_BYTES)
              .build()
              .start(),
          forwarding);
    } catch (IOException e) {
      throw BindAddress.taken(host.getHostAddress(), port, e);
    }
  }

  /** Where it listens. */
  public int port() {
    return server.getPort();
  }

  /** Ends open calls; whoever watches a job is told that the server is unavailable. */
  @Override
  public void close() {
    server.shutdownNow();
    forwarding.close();
    try {
      server.awaitTermination(SHUTDOWN_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
