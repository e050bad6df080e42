package org.ftcluster.worker.collective;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.jspecify.annotations.Nullable;

/**
 * Goes ahead of every operation's bytes on every link that it uses, as text of a fixed length, so
 * that ranks which don't call the same operation in the same order learn it at once, instead of
 * exchanging nonsense.
 *
 * @param group whose operation it is, empty where it is all ranks'
 * @param root of a reduction to one rank, or of a broadcast, else -1
 * @param sequence number of the collective among its group's; 0 for point-to-point
 * @param bytes of the buffer
 */
record Header(
    Kind kind,
    String group,
    @Nullable ElementType type,
    @Nullable ReduceOp op,
    int root,
    long sequence,
    long bytes) {
  /** Room for the longest of them. */
  static final int BYTES = 128;

  enum Kind {
    ALL_REDUCE("all-reduce"),
    REDUCE("reduce"),
    REDUCE_SCATTER("reduce-scatter"),
    ALL_GATHER("all-gather"),
    BROADCAST("broadcast"),
    BARRIER("barrier"),
    MESSAGE("message");

    private final String text;

    Kind(String text) {
      this.text = text;
    }
  }

  static Header message(long bytes) {
    return new Header(Kind.MESSAGE, "", null, null, -1, 0, bytes);
  }

  ByteBuffer encode() {
    byte[] padded = new byte[BYTES];
    Arrays.fill(padded, (byte) ' ');
    byte[] text = toString().getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(text, 0, padded, 0, text.length);
    return ByteBuffer.wrap(padded);
  }

  /**
   * Compares what a peer calls with this.
   *
   * @param received a whole header
   * @throws CollectiveException when it isn't the same
   */
  void check(ByteBuffer received, int peer) {
    if (!encode().equals(received)) {
      throw new CollectiveException(
          "ranks disagree: this rank calls %s, rank %d calls %s"
              .formatted(
                  this, peer, StandardCharsets.US_ASCII.decode(received).toString().strip()));
    }
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(kind.text);
    if (sequence > 0) {
      text.append(" #").append(sequence);
    }
    if (op != null) {
      text.append(' ').append(op).append(" of ").append(type);
    }
    if (!group.isEmpty()) {
      text.append(" in group ").append(group);
    }
    if (root >= 0) {
      text.append(kind == Kind.REDUCE ? " to rank " : " from rank ").append(root);
    }
    return text.append(", ").append(bytes).append(" bytes").toString();
  }
}
