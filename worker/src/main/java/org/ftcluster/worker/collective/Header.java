package org.ftcluster.worker.collective;

import java.nio.ByteBuffer;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.jspecify.annotations.Nullable;

/**
 * Goes ahead of every operation's bytes on every link that it uses, so that ranks which don't call
 * the same operation in the same order learn it at once, instead of exchanging nonsense.
 *
 * @param root of a broadcast, else -1
 * @param sequence number of the collective in this generation; 0 for point-to-point
 * @param bytes of the buffer
 */
record Header(
    Kind kind,
    @Nullable ElementType type,
    @Nullable ReduceOp op,
    int root,
    long sequence,
    long bytes) {
  static final int BYTES = 24;

  enum Kind {
    ALL_REDUCE("all-reduce"),
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
    return new Header(Kind.MESSAGE, null, null, -1, 0, bytes);
  }

  ByteBuffer encode() {
    return ByteBuffer.allocate(BYTES)
        .put((byte) kind.ordinal())
        .put((byte) (type == null ? -1 : type.ordinal()))
        .put((byte) (op == null ? -1 : op.ordinal()))
        .put((byte) 0)
        .putInt(root)
        .putLong(sequence)
        .putLong(bytes)
        .flip();
  }

  /**
   * @param received a whole header, as {@link #encode} wrote it
   * @throws CollectiveException when it isn't this one
   */
  void check(ByteBuffer received, int peer) {
    if (encode().equals(received)) {
      return;
    }
    throw new CollectiveException(
        "ranks disagree: this rank calls %s, rank %d calls %s"
            .formatted(this, peer, decode(received)));
  }

  private static Object decode(ByteBuffer received) {
    int kind = received.get(0);
    int type = received.get(1);
    int op = received.get(2);
    if (kind < 0
        || kind >= Kind.values().length
        || type >= ElementType.values().length
        || op >= ReduceOp.values().length) {
      return "nothing known";
    }
    return new Header(
        Kind.values()[kind],
        type < 0 ? null : ElementType.values()[type],
        op < 0 ? null : ReduceOp.values()[op],
        received.getInt(4),
        received.getLong(8),
        received.getLong(16));
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(kind.text);
    if (sequence > 0) {
      text.append(" #").append(sequence);
    }
    if (op != null && kind != Kind.BARRIER) {
      text.append(' ').append(op).append(" of ").append(type);
    }
    if (root >= 0) {
      text.append(" from rank ").append(root);
    }
    return text.append(", ").append(bytes).append(" bytes").toString();
  }
}
