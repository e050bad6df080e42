package org.ftcluster.worker.tensor.kernel;

import java.util.stream.IntStream;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/**
 * How attention goes through heads and blocks of query rows, and what it needs whatever its
 * products run in. Belongs to one thread.
 */
abstract sealed class AttentionScratch permits Float32Scratch, Bfloat16Scratch {
  static final int LANES = Rows.FLOATS.length();

  final Shape shape;

  /** Rows of a head's matrices. */
  final int tokens;

  /** [tokens]. */
  final float[] logSumExp;

  /** [blockRows]: of exponentials in the forward, of dO O in the backward. */
  final float[] rowSums;

  private final int blockRows;

  /**
   * @param blockRows query rows handled at once; a block looks at no key past its last row
   */
  AttentionScratch(Shape shape, int blockRows) {
    this.shape = shape;
    this.blockRows = blockRows;
    tokens = Tiles.pad(shape.tokens(), blockRows);
    logSumExp = new float[tokens];
    rowSums = new float[blockRows];
  }

  /**
   * As many query rows from {@code first} on as a block has, and the keys [from, to) that they look
   * at, both multiples of that number.
   *
   * @param count those of the query rows that there are
   */
  record Block(int first, int count, int from, int to) {
    private static Block at(Shape shape, int first, int rows) {
      int end = Math.min(first + rows, shape.tokens());
      return new Block(first, end - first, shape.firstKey(first) / rows * rows, first + rows);
    }
  }

  /** Goes through key/value heads [from, to), and the query heads that share each of them. */
  final void run(int from, int to) {
    for (int head = from; head < to; head++) {
      begin(head);
      for (int g = 0; g < shape.group(); g++) {
        int queryHead = head * shape.group() + g;
        beginQueries(queryHead);
        for (int first = 0; first < shape.tokens(); first += blockRows) {
          run(queryHead, Block.at(shape, first, blockRows));
        }
        endQueries(queryHead);
      }
      end(head);
    }
    done();
  }

  abstract void begin(int keyValueHead);

  void beginQueries(int queryHead) {}

  abstract void run(int queryHead, Block block);

  void endQueries(int queryHead) {}

  void end(int keyValueHead) {}

  /** Nothing follows. */
  void done() {}

  /** Where as many rows as there are lanes begin. */
  static int[] rowStarts(int columns) {
    return IntStream.range(0, LANES).map(lane -> lane * columns).toArray();
  }
}
