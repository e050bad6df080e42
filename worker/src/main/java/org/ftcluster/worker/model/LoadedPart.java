package org.ftcluster.worker.model;

import java.util.List;
import org.ftcluster.worker.tensor.DType;
import org.jspecify.annotations.Nullable;

/**
 * A {@link ModelPart} with its weights.
 *
 * @param hiddenSize D
 * @param firstEmbedding of the first part, else null
 * @param lastHead of the last part, else null
 * @param trained of the whole model
 * @param supply of weights that aren't in memory all the time
 * @param activations where what layers keep is put away, else null
 */
record LoadedPart(
    ModelPart place,
    int hiddenSize,
    DType computeType,
    @Nullable Embedding firstEmbedding,
    List<DecoderLayer> layers,
    @Nullable LanguageHead lastHead,
    TrainedTensors trained,
    WeightSupply supply,
    @Nullable OffloadedActivations activations,
    MemorySavings savings) {
  LoadedPart {
    layers = List.copyOf(layers);
  }

  ParameterBuffer parameters() {
    return trained.buffer();
  }

  Embedding embedding() {
    if (firstEmbedding == null) {
      throw new IllegalStateException("the embedding is in the first part of the model");
    }
    return firstEmbedding;
  }

  LanguageHead head() {
    if (lastHead == null) {
      throw new IllegalStateException("the head is in the last part of the model");
    }
    return lastHead;
  }

  /**
   * Where a layer's parameters begin in the buffer: those of later layers, and of the head, follow;
   * all of them where it has none.
   */
  long firstParameter(int layer) {
    String name = ".layers.%d.".formatted(place.layers().from() + layer);
    return parameters().slices().stream()
        .filter(slice -> slice.name().contains(name))
        .mapToLong(ParameterBuffer.Slice::offset)
        .min()
        .orElse(parameters().size());
  }

  /** Whether what a layer keeps is put away. In the last part the backward follows at once. */
  boolean offloads(int layer) {
    int most = place.isLast() ? MemorySavings.offloadable(layers.size()) : layers.size();
    return layer < Math.min(savings.offloadedLayers(), most);
  }

  /** Whether anything before the part's first layer wants its gradient. */
  boolean wantsInputGradient() {
    return firstEmbedding == null || firstEmbedding.table().isTrained();
  }

  /** Bytes that the frozen weights take: of the linear layers as they are held, and the tables. */
  long frozenBytes() {
    long bytes = lastHead == null ? 0 : lastHead.weight().frozenBytes();
    LayerWindow window = supply.window();
    if (window != null) {
      bytes += window.roomBytes();
    }
    if (firstEmbedding != null
        && (lastHead == null || lastHead.weight() != firstEmbedding.table())) {
      bytes += firstEmbedding.table().frozenBytes();
    }
    for (DecoderLayer layer : layers) {
      for (Linear linear : layer.linears()) {
        bytes += linear.frozenBytes();
      }
    }
    return bytes;
  }
}
