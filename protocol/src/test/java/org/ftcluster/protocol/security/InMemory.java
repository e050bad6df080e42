package org.ftcluster.protocol.security;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;

/** Connections without a network. */
final class InMemory {
  private static final int ROUNDS = 1000;

  private InMemory() {}

  /**
   * Returns the version of TLS on which the two agree.
   *
   * @throws SSLException that the first of them has, which doesn't accept the other
   */
  static String handshake(SSLEngine caller, SSLEngine called) throws SSLException {
    ByteBuffer there = ByteBuffer.allocate(1 << 17);
    ByteBuffer back = ByteBuffer.allocate(1 << 17);
    caller.beginHandshake();
    called.beginHandshake();
    for (int round = 0; isBusy(caller) || isBusy(called) || back.position() > 0; round++) {
      assertTrue(round < ROUNDS, "the handshake doesn't end");
      step(caller, back, there);
      step(called, there, back);
    }
    return caller.getSession().getProtocol();
  }

  private static boolean isBusy(SSLEngine engine) {
    return engine.getHandshakeStatus() != HandshakeStatus.NOT_HANDSHAKING;
  }

  private static void step(SSLEngine engine, ByteBuffer in, ByteBuffer out) throws SSLException {
    switch (engine.getHandshakeStatus()) {
      case NEED_TASK -> engine.getDelegatedTask().run();
      case NEED_WRAP -> engine.wrap(ByteBuffer.allocate(0), out);
      case NEED_UNWRAP, NEED_UNWRAP_AGAIN, NOT_HANDSHAKING, FINISHED -> {
        in.flip();
        SSLEngineResult _ = engine.unwrap(in, ByteBuffer.allocate(1 << 15));
        in.compact();
      }
    }
  }
}
