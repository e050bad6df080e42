package org.ftcluster.worker.collective;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.security.SecureRandom;
import java.time.Duration;
import org.ftcluster.worker.collective.Membership.Hello;
import org.ftcluster.worker.collective.Membership.Side;
import org.jspecify.annotations.Nullable;

/**
 * The opening of a connection: the caller says who it is; the listener answers with a random
 * number; the caller proves that it knows the secret; the listener accepts and proves the same, or
 * refuses and says why. Nothing of variable size is read before the proof.
 */
final class Handshake {
  private static final SecureRandom RANDOM = new SecureRandom();
  private static final int ACCEPTED = 0;
  private static final int REFUSED = 1;

  private final DataInputStream in;
  private final DataOutputStream out;

  /** A peer that keeps silent for {@code patience} is given up. */
  Handshake(Lane lane, Duration patience) throws IOException {
    Socket socket = lane.socket().socket();
    // Buffer sizes stay the kernel's business: it lets them grow well beyond what may be asked for.
    socket.setTcpNoDelay(true);
    socket.setSoTimeout(Math.toIntExact(Math.clamp(patience.toMillis(), 1, Integer.MAX_VALUE)));
    in = new DataInputStream(lane.in());
    out = new DataOutputStream(lane.out());
  }

  /**
   * @throws CollectiveException when the listener refuses, or doesn't know the secret
   */
  void call(Membership self, int peer, int lane) throws IOException {
    Hello hello =
        new Hello(
            self.generation(), self.size(), self.sockets(), self.rank(), peer, lane, random());
    out.write(hello.encode());
    byte[] nonce = read(Hello.NONCE_BYTES);
    out.write(self.proof(Side.CALLER, hello, nonce));
    if (in.readUnsignedByte() != ACCEPTED) {
      throw new CollectiveException("rank %d refuses this rank: %s".formatted(peer, in.readUTF()));
    }
    byte[] proof = read(Membership.PROOF_BYTES);
    if (!self.accepts(proof, Side.LISTENER, hello, nonce)) {
      throw new CollectiveException(
          "who listens at rank %d's address doesn't know this generation's secret".formatted(peer));
    }
  }

  /**
   * Hears a caller out, up to the answer.
   *
   * @return who it is, and why it must be refused, if it must
   */
  Claim hear(Membership self) throws IOException {
    Hello hello = Hello.decode(read(Hello.BYTES));
    if (hello == null) {
      throw new IOException("doesn't speak as a rank does");
    }
    byte[] nonce = random();
    out.write(nonce);
    byte[] proof = read(Membership.PROOF_BYTES);
    String objection =
        self.accepts(proof, Side.CALLER, hello, nonce)
            ? self.objection(hello)
            : "its secret is not this generation's";
    return new Claim(hello, self.proof(Side.LISTENER, hello, nonce), objection);
  }

  void accept(Claim claim) throws IOException {
    out.writeByte(ACCEPTED);
    out.write(claim.answer());
  }

  void refuse(String objection) throws IOException {
    out.writeByte(REFUSED);
    out.writeUTF(objection);
  }

  /**
   * @param answer what shows the caller that this side knows the secret, too
   */
  record Claim(Hello hello, byte[] answer, @Nullable String objection) {}

  private byte[] read(int length) throws IOException {
    byte[] bytes = new byte[length];
    in.readFully(bytes);
    return bytes;
  }

  private static byte[] random() {
    byte[] nonce = new byte[Hello.NONCE_BYTES];
    RANDOM.nextBytes(nonce);
    return nonce;
  }
}
