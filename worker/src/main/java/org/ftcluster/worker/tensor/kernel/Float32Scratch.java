package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/** Matrices of one key/value head and of the block of query rows at hand, padded with zeros. */
abstract sealed class Float32Scratch extends AttentionScratch
    permits Float32Forward, Float32Backward {
  /** [tokens, width]. */
  final float[] keys;

  final float[] values;

  /** [BLOCK, width]; already scaled. */
  final float[] queries;

  /** [width, BLOCK]. */
  private final float[] queriesT;

  Float32Scratch(Shape shape) {
    super(shape);
    keys = new float[tokens * width];
    values = new float[tokens * width];
    queries = new float[BLOCK * width];
    queriesT = new float[width * BLOCK];
  }

  void readQueries(Rows from, int head, Block block) {
    readBlock(from, head, block, queries);
    scale(queries, (float) shape.scale());
    transpose(queries, queriesT, BLOCK, width);
  }

  /** The block's scores in {@code p}, minus infinity where a query doesn't look at a key. */
  void scores(Block block) {
    scores(p, keys, queriesT, block);
    hide(block);
  }

  /** {@code scores = m bᵀ}, for m [tokens, width] and a block's transposed b. */
  void scores(float[] scores, float[] m, float[] transposed, Block block) {
    Tiles.multiply(
        m,
        block.from() * width,
        width,
        1,
        transposed,
        0,
        BLOCK,
        scores,
        block.from() * BLOCK,
        BLOCK,
        block.to() - block.from(),
        shape.headSize(),
        BLOCK,
        false);
  }

  /** {@code out = sᵀ m} for scores s [tokens, BLOCK] and m [tokens, width]. */
  void times(float[] scores, float[] m, float[] out, Block block) {
    Tiles.multiply(
        scores,
        block.from() * BLOCK,
        1,
        BLOCK,
        m,
        block.from() * width,
        width,
        out,
        0,
        width,
        BLOCK,
        block.to() - block.from(),
        width,
        false);
  }
}
