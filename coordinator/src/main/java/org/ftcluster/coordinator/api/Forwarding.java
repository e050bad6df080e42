package org.ftcluster.coordinator.api;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.ftcluster.protocol.api.FtClusterGrpc;
import org.ftcluster.protocol.security.Protection;

/**
 * Hands calls on to the coordinator that acts, where that isn't the one in this process; so clients
 * may talk to any of them. What every coordinator knows by itself is answered here.
 */
public final class Forwarding implements ServerInterceptor, AutoCloseable {
  /** On calls that were handed on: whoever gets one and doesn't act says so. */
  private static final Metadata.Key<String> FORWARDED =
      Metadata.Key.of("ftcluster-forwarded", Metadata.ASCII_STRING_MARSHALLER);

  /** So long a call waits for some coordinator to act: less than its client waits. */
  private static final Duration PATIENCE = Duration.ofSeconds(12);

  private static final Duration LOOK = Duration.ofMillis(200);

  private final BooleanSupplier actsHere;
  private final Supplier<String> acting;
  private final Protection protection;
  private final Map<String, ManagedChannel> channels = new ConcurrentHashMap<>();

  /**
   * @param actsHere whether it is the coordinator in this process
   * @param acting {@code host:port} of the coordinator that acts, if it is another one and is
   *     there; empty otherwise. May wait for the database, and throw {@link IllegalStateException}
   *     when that doesn't answer
   * @param protection of connections to it
   */
  public Forwarding(BooleanSupplier actsHere, Supplier<String> acting, Protection protection) {
    this.actsHere = actsHere;
    this.acting = acting;
    this.protection = protection;
  }

  @Override
  public <Q, A> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> here) {
    if (actsHere.getAsBoolean()
        || call.getMethodDescriptor()
            .getFullMethodName()
            .equals(FtClusterGrpc.getDescribeClusterMethod().getFullMethodName())) {
      return here.startCall(call, headers);
    }
    if (headers.containsKey(FORWARDED)) {
      return refuse(call, "no coordinator acts at this moment");
    }
    String address;
    try {
      address = awaitActing();
    } catch (IllegalStateException e) {
      return refuse(call, String.valueOf(e.getMessage()));
    }
    if (actsHere.getAsBoolean()) {
      return here.startCall(call, headers);
    }
    if (address.isEmpty()) {
      return refuse(call, "no coordinator has begun to act yet");
    }
    headers.put(FORWARDED, "");
    return forward(call, headers, channel(address));
  }

  /** Where the other one is that acts; empty where this one does, or none. */
  private String awaitActing() {
    long deadlineNs = System.nanoTime() + PATIENCE.toNanos();
    while (!actsHere.getAsBoolean() && System.nanoTime() < deadlineNs) {
      String address = acting.get();
      if (!address.isEmpty()) {
        return address;
      }
      try {
        Thread.sleep(LOOK);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException("this coordinator ends", e);
      }
    }
    return "";
  }

  private ManagedChannel channel(String address) {
    return channels.computeIfAbsent(
        address, target -> ApiConnections.client(target, protection).build());
  }

  private static <Q, A> ServerCall.Listener<Q> refuse(ServerCall<Q, A> call, String why) {
    call.close(Status.UNAVAILABLE.withDescription(why), new Metadata());
    return new ServerCall.Listener<>() {};
  }

  /** The deadline of the call, and its cancellation, go with the context that it runs in. */
  private static <Q, A> ServerCall.Listener<Q> forward(
      ServerCall<Q, A> call, Metadata headers, ManagedChannel channel) {
    ClientCall<Q, A> onward = channel.newCall(call.getMethodDescriptor(), CallOptions.DEFAULT);
    onward.start(
        new ClientCall.Listener<>() {
          @Override
          public void onHeaders(Metadata answerHeaders) {
            call.sendHeaders(answerHeaders);
          }

          @Override
          public void onMessage(A answer) {
            call.sendMessage(answer);
            onward.request(1);
          }

          @Override
          public void onClose(Status status, Metadata trailers) {
            call.close(status, trailers);
          }
        },
        headers);
    onward.request(1);
    call.request(1);
    return new ServerCall.Listener<>() {
      @Override
      public void onMessage(Q question) {
        onward.sendMessage(question);
        call.request(1);
      }

      @Override
      public void onHalfClose() {
        onward.halfClose();
      }

      @Override
      public void onCancel() {
        onward.cancel("the client has gone", null);
      }
    };
  }

  @Override
  public void close() {
    channels.values().forEach(ManagedChannel::shutdownNow);
  }
}
