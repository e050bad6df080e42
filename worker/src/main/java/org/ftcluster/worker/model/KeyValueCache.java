package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * Keys and values of all tokens so far, by layer and sequence: what lets a sequence grow a token at
 * a time.
 */
final class KeyValueCache implements CausalLanguageModel.LayerObserver, AutoCloseable {
  private final Scope scope = Scope.persistent();
  private final List<List<Tensor>> keys = new ArrayList<>();
  private final List<List<Tensor>> values = new ArrayList<>();
  private int[] lengths;

  /**
   * @param lengths tokens of each sequence's prompt
   * @param room tokens that each sequence may grow by
   */
  KeyValueCache(ModelConfig config, DType type, int[] lengths, int room) {
    this.lengths = lengths.clone();
    for (int layer = 0; layer < config.layers(); layer++) {
      keys.add(allocate(config, type, lengths, room));
      values.add(allocate(config, type, lengths, room));
    }
  }

  private List<Tensor> allocate(ModelConfig config, DType type, int[] lengths, int room) {
    List<Tensor> tensors = new ArrayList<>(lengths.length);
    for (int length : lengths) {
      tensors.add(scope.zeros(type, length + room, config.keyValueSize()));
    }
    return tensors;
  }

  /** Takes the prompts' keys and values as the layers make them. */
  @Override
  public void layer(int index, Tensor layerKeys, Tensor layerValues) {
    long start = 0;
    for (int i = 0; i < lengths.length; i++) {
      int length = lengths[i];
      RowOps.copy(
          keys.get(index).get(i).slice(0, 0, length), layerKeys.slice(0, start, start + length));
      RowOps.copy(
          values.get(index).get(i).slice(0, 0, length),
          layerValues.slice(0, start, start + length));
      start += length;
    }
  }

  /** The place of each sequence's next token. */
  int[] lengths() {
    return lengths.clone();
  }

  /**
   * Writes the next token's rows [B, K C] behind each sequence; {@link #advance} makes them count.
   */
  void append(int layer, Tensor nextKeys, Tensor nextValues) {
    for (int i = 0; i < lengths.length; i++) {
      RowOps.copy(
          keys.get(layer).get(i).slice(0, lengths[i], lengths[i] + 1), nextKeys.slice(0, i, i + 1));
      RowOps.copy(
          values.get(layer).get(i).slice(0, lengths[i], lengths[i] + 1),
          nextValues.slice(0, i, i + 1));
    }
  }

  /** Goes on with the sequences at these places only; the others have ended. */
  void retain(int[] kept) {
    if (kept.length == lengths.length) {
      return;
    }
    lengths = Arrays.stream(kept).map(i -> lengths[i]).toArray();
    keys.replaceAll(layer -> Arrays.stream(kept).mapToObj(layer::get).toList());
    values.replaceAll(layer -> Arrays.stream(kept).mapToObj(layer::get).toList());
  }

  List<Tensor> keys(int layer) {
    return keys.get(layer);
  }

  List<Tensor> values(int layer) {
    return values.get(layer);
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
