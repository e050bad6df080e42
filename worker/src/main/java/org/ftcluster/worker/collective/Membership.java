package org.ftcluster.worker.collective;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/** Which rank of which generation this is, and how it proves it. */
record Membership(int rank, int size, long generation, byte[] secret) {
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
    if (hello.to() != rank) {
      return "this is rank %d, not %d".formatted(rank, hello.to());
    }
    if (hello.from() <= rank || hello.from() >= size) {
      return "rank %d has no business to call rank %d of %d".formatted(hello.from(), rank, size);
    }
    return null;
  }

  /** What a connection carries. */
  enum Lane {
    DATA('D'),
    CONTROL('C');

    private final char code;

    Lane(char code) {
      this.code = code;
    }

    private static @Nullable Lane of(char code) {
      for (Lane lane : values()) {
        if (lane.code == code) {
          return lane;
        }
      }
      return null;
    }
  }

  /**
   * The first words of a connection.
   *
   * @param nonce the caller's random number, {@link #NONCE_BYTES} long
   */
  record Hello(long generation, int size, int from, int to, Lane lane, byte[] nonce) {
    static final int NONCE_BYTES = 32;
    static final int BYTES = 8 + 8 + 3 * 4 + 2 + NONCE_BYTES;

    /** "ftcoll" and the version of what is spoken on the connection. */
    private static final long MAGIC = 0x6674_636f_6c6c_0001L;

    byte[] encode() {
      return ByteBuffer.allocate(BYTES)
          .putLong(MAGIC)
          .putLong(generation)
          .putInt(size)
          .putInt(from)
          .putInt(to)
          .putChar(lane.code)
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
      int from = in.getInt();
      int to = in.getInt();
      Lane lane = Lane.of(in.getChar());
      if (lane == null) {
        return null;
      }
      byte[] nonce = new byte[NONCE_BYTES];
      in.get(nonce);
      return new Hello(generation, size, from, to, lane, nonce);
    }
  }
}
