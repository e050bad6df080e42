package org.ftcluster.coordinator.api;

import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.ChannelOption;
import io.grpc.netty.shaded.io.netty.handler.ssl.ClientAuth;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContext;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContextBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslProvider;
import java.net.InetSocketAddress;
import javax.net.ssl.SSLException;
import org.ftcluster.protocol.security.Credentials;
import org.ftcluster.protocol.security.Protection;

/** Both ends of a connection over which a coordinator is spoken to, by gRPC. */
public final class ApiConnections {
  /** A machine that is gone doesn't even refuse: the next address is tried then. */
  private static final int CONNECT_MS = 3_000;

  private ApiConnections() {}

  /** To the coordinator that {@code target} names, as name resolvers of gRPC understand it. */
  public static NettyChannelBuilder client(String target, Protection protection) {
    NettyChannelBuilder channel =
        NettyChannelBuilder.forTarget(target)
            .withOption(ChannelOption.CONNECT_TIMEOUT_MILLIS, CONNECT_MS);
    return protection
        .credentials()
        .map(
            own ->
                channel
                    .sslContext(
                        context(SslContextBuilder.forClient().keyManager(own.keyManager()), own))
                    .overrideAuthority(Credentials.MEMBER))
        .orElseGet(channel::usePlaintext);
  }

  static NettyServerBuilder server(InetSocketAddress address, Protection protection) {
    NettyServerBuilder server = NettyServerBuilder.forAddress(address);
    return protection
        .credentials()
        .map(
            own ->
                server.sslContext(
                    context(
                        SslContextBuilder.forServer(own.keyManager())
                            .clientAuth(ClientAuth.REQUIRE),
                        own)))
        .orElse(server);
  }

  private static SslContext context(SslContextBuilder builder, Credentials own) {
    try {
      return GrpcSslContexts.configure(builder, SslProvider.JDK)
          .trustManager(own.trustManager())
          .protocols(Credentials.protocols())
          .build();
    } catch (SSLException e) {
      throw new IllegalStateException("credentials that were read make a context", e);
    }
  }
}
