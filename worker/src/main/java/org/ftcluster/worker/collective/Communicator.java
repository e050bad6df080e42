package org.ftcluster.worker.collective;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The ranks of one generation, and what they do together. Every rank calls the same operations in
 * the same order; point-to-point calls only need to match between the two ranks concerned.
 *
 * <p>Operations are queued and return at once; buffers belong to the operation until its {@link
 * Work} is done. Buffers are off-heap ({@link MemorySegment#ofAddress}), hold whole elements, and
 * stay where they are: nothing is copied through the Java heap. When any rank is lost, or {@link
 * #abort} is called anywhere, every operation on every rank ends with a {@link
 * CollectiveException}, and so does every later one.
 */
public interface Communicator extends AutoCloseable {
  int rank();

  int size();

  /**
   * Some of these ranks as a communicator of their own, for operations among them. It ends with
   * this one, and a rank that is lost ends both, for all: a group has no life of its own, and its
   * {@link #close} does nothing.
   *
   * @param name a short one, the same on all of them, to tell the groups of a rank apart
   * @param ranks of this communicator, this one among them; their places are the group's ranks
   */
  Communicator group(String name, List<Integer> ranks);

  /**
   * The same ranks once more, over connections and a thread of their own: what is under way there
   * doesn't hold up what is called here, nor wait for it, and the two keep their own orders. Ends
   * as a {@link #group} does. To be asked for once, by all ranks at the same time.
   */
  Communicator background();

  /**
   * Whether what goes to ranks on other machines is encrypted, so that it shouldn't go there in
   * another way that isn't.
   */
  default boolean encryptsBetweenMachines() {
    return false;
  }

  /** Whether any thread may call it, and not only the one that made it. */
  boolean isForAnyThread();

  /** Leaves the element-wise reduction over all ranks in every rank's {@code buffer}. */
  Work allReduce(MemorySegment buffer, ElementType type, ReduceOp op);

  /**
   * Leaves the element-wise reduction over all ranks in {@code root}'s {@code buffer}; what others'
   * hold is lost.
   */
  Work reduce(MemorySegment buffer, ElementType type, ReduceOp op, int root);

  /**
   * {@code output} of rank r gets the reduction of the r-th of {@link #size} equal parts of all
   * {@code input}s.
   */
  Work reduceScatter(MemorySegment input, MemorySegment output, ElementType type, ReduceOp op);

  /** {@code output} gets all ranks' {@code input}s, one after the other, by rank. */
  Work allGather(MemorySegment input, MemorySegment output);

  /** Every rank's {@code buffer} gets what {@code root}'s holds. */
  Work broadcast(MemorySegment buffer, int root);

  /**
   * Makes what messages between neighbours take, where that is something; to be called by all ranks
   * at the same time, if some of them may have none to send while others do.
   */
  default void meetNeighbours() {}

  Work send(MemorySegment buffer, int peer);

  Work recv(MemorySegment buffer, int peer);

  /** Done when every rank has called it. */
  Work barrier();

  /**
   * Whether ranks are still together, without asking any of them. Any thread may call it.
   *
   * @throws CollectiveException once this generation's collectives have ended
   */
  void check();

  /**
   * Ends this generation's collectives on every rank. Any thread may call it; only the first reason
   * counts.
   */
  void abort(String reason);

  /**
   * Lets go of connections and threads, once all operations are done; {@link #abort}s those that
   * are not.
   */
  @Override
  void close();

  /** Types that can be reduced. */
  enum ElementType {
    BFLOAT16(2),
    FLOAT32(4),
    FLOAT64(8),
    INT64(8);

    private final int bytes;

    ElementType(int bytes) {
      this.bytes = bytes;
    }

    public int bytes() {
      return bytes;
    }
  }

  /** How elements are combined. Integer sums wrap around; those of bfloat16 are rounded. */
  enum ReduceOp {
    SUM,
    MAX
  }
}
