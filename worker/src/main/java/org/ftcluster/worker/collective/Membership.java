package org.ftcluster.worker.collective;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/**
 * Which rank of which generation this is, and how it proves it.
 *
 * @param sockets that carry the bytes of operations between two ranks
 */
record Membership(int rank, int size, long generation, int sockets, byte[] secret) {
  /**
   * Links between two ranks: one for what their callers wait for, one for what goes on in the
   * background.
   */
  static final int LINKS = 2;

  static final int PROOF_BYTES = 32;

  private static final String MAC = "HmacSHA256";

  /** The sides of a connection prove different things, so that neither can echo the other's. */
  enum Side {
    CALLER,
    LISTENER
  }

  /** What a proof is about: a connection of {@code caller}'s, and both sides' random numbers. */
  byte[] proof(Side side, Hello hello, byte[] listenerNonce) {
    try {
      Mac mac = Mac.getInstance(MAC);
      mac.init(new SecretKeySpec(secret, MAC));
      mac.update(side.name().getBytes(StandardCharsets.US_ASCII));
      mac.update(hello.encode());
      return mac.doFinal(listenerNonce);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(MAC + " is part of every JDK", e);
    }
  }

  boolean accepts(byte[] proof, Side side, Hello hello, byte[] listenerNonce) {
    return MessageDigest.isEqual(proof, proof(side, hello, listenerNonce));
  }

  /** Why this rank doesn't want that connection; {@code null} where it does. */
  @Nullable String objection(Hello hello) {
    if (hello.generation() != generation) {
      return "this is generation %d, not %d".formatted(generation, hello.generation());
    }
    if (hello.size() != size) {
      return "there are %d ranks, not %d".formatted(size, hello.size());
    }
    if (hello.sockets() != sockets) {
      return "sockets between two ranks are %d, not %d".formatted(sockets, hello.sockets());
    }
    if (hello.lane() < 0 || hello.lane() >= lanes()) {
      return "there is no connection %d".formatted(hello.lane());
    }
    if (hello.to() != rank) {
      return "this is rank %d, not %d".formatted(rank, hello.to());
    }
    if (hello.from() <= rank || hello.from() >= size) {
      return "rank %d has no business to call rank %d of %d".formatted(hello.from(), rank, size);
    }
    return null;
  }

  /** Connections of a link: the first one carries signs of life, the others operations' bytes. */
  int lanesOfLink() {
    return 1 + sockets;
  }

  /** Connections between two ranks, those of a link next to each other. */
  int lanes() {
    return LINKS * lanesOfLink();
  }

  /**
   * The first words of a connection.
   *
   * @param sockets as {@link Membership#sockets}
   * @param lane which of {@link Membership#lanes} this is
   * @param nonce the caller's random number, {@link #NONCE_BYTES} long
   */
  record Hello(long generation, int size, int sockets, int from, int to, int lane, byte[] nonce) {
    static final int NONCE_BYTES = 32;
    static final int BYTES = 8 + 8 + 5 * 4 + NONCE_BYTES;

    /** "ftcoll" and the version of what is spoken on the connection. */
    private static final long MAGIC = 0x6674_636f_6c6c_0002L;

    byte[] encode() {
      return ByteBuffer.allocate(BYTES)
          .putLong(MAGIC)
          .putLong(generation)
          .putInt(size)
          .putInt(sockets)
          .putInt(from)
          .putInt(to)
          .putInt(lane)
          .put(nonce)
          .array();
    }

    /** {@code null} where these aren't the words of a rank. */
    static @Nullable Hello decode(byte[] bytes) {
      ByteBuffer in = ByteBuffer.wrap(bytes);
      if (in.getLong() != MAGIC) {
        return null;
      }
      long generation = in.getLong();
      int size = in.getInt();
      int sockets = in.getInt();
      int from = in.getInt();
      int to = in.getInt();
      int lane = in.getInt();
      byte[] nonce = new byte[NONCE_BYTES];
      in.get(nonce);
      return new Hello(generation, size, sockets, from, to, lane, nonce);
    }
  }
}
