package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.CachedAttention;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * Keys and values of all tokens so far, by layer: what lets a sequence grow a token at a time. Each
 * sequence has rows of its own in a layer's tensors, for its prompt and what may come.
 */
final class KeyValueCache implements CausalLanguageModel.LayerObserver, AutoCloseable {
  private final Scope scope;
  private final List<Tensor> keys = new ArrayList<>();
  private final List<Tensor> values = new ArrayList<>();
  // Of the sequences that still grow.
  private int[] starts;
  private int[] lengths;

  /**
   * @param lengths tokens of each sequence's prompt
   * @param room tokens that each sequence may grow by
   * @param accelerator where it is; null for the host
   */
  KeyValueCache(
      ModelConfig config, DType type, int[] lengths, int room, @Nullable Accelerator accelerator) {
    this.lengths = lengths.clone();
    this.starts = new int[lengths.length];
    int rows = 0;
    for (int i = 0; i < lengths.length; i++) {
      starts[i] = rows;
      rows = Math.addExact(rows, lengths[i] + room);
    }
    this.scope = Scope.persistent(accelerator);
    try {
      for (int layer = 0; layer < config.layers(); layer++) {
        keys.add(scope.zeros(type, rows, config.keyValueSize()));
        values.add(scope.zeros(type, rows, config.keyValueSize()));
      }
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  /** Takes the prompts' keys and values as the layers make them: their first rows. */
  @Override
  public void layer(int index, Tensor layerKeys, Tensor layerValues) {
    int[] rows =
        IntStream.range(0, lengths.length)
            .flatMap(i -> IntStream.range(starts[i], starts[i] + lengths[i]))
            .toArray();
    write(index, layerKeys.slice(0, 0, rows.length), layerValues.slice(0, 0, rows.length), rows);
  }

  /** The place of each sequence's next token, counted from its own beginning. */
  int[] lengths() {
    return lengths.clone();
  }

  /**
   * Writes the next token's rows [B, K C] behind each sequence; {@link #advance} makes them count.
   */
  void append(int layer, Tensor nextKeys, Tensor nextValues) {
    write(layer, nextKeys, nextValues, next());
  }

  /** Rows are written once, and zeros until then. */
  private void write(int layer, Tensor newKeys, Tensor newValues, int[] rows) {
    RowOps.scatterAdd(keys.get(layer), newKeys, rows);
    RowOps.scatterAdd(values.get(layer), newValues, rows);
  }

  /** The row of each sequence's next token. */
  private int[] next() {
    return IntStream.range(0, lengths.length).map(i -> starts[i] + lengths[i]).toArray();
  }

  /** Goes on with the sequences at these places only; the others have ended. */
  void retain(int[] kept) {
    starts = Arrays.stream(kept).map(i -> starts[i]).toArray();
    lengths = Arrays.stream(kept).map(i -> lengths[i]).toArray();
  }

  Tensor keys(int layer) {
    return keys.get(layer);
  }

  Tensor values(int layer) {
    return values.get(layer);
  }

  /**
   * What each sequence's next token looks at.
   *
   * @param window tokens to look back over, the next one included; 0 for all
   */
  CachedAttention.Places places(int window) {
    return CachedAttention.Places.of(starts, next(), window);
  }

  void advance() {
    for (int i = 0; i < lengths.length; i++) {
      lengths[i]++;
    }
  }

  @Override
  public void close() {
    scope.close();
  }
}
