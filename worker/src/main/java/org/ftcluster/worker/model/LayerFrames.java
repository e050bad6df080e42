package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * What a batch's layers keep from their forward to their backward: each has a frame of the
 * workspace, and frames close in the order in which the backward runs. With recomputation a layer
 * keeps its output only, and runs its forward again first.
 */
final class LayerFrames implements AutoCloseable {
  private final BatchLayers layers;
  private final LoadedPart part;
  private final Workspace memory;

  /** Null where all that layers keep stays in memory. */
  private final OffloadedActivations.@Nullable Batch away;

  private final List<Frame> frames = new ArrayList<>();

  /**
   * @param saved null where the layer is to be computed again
   * @param outputPages of the workspace, where anything is to be put away
   */
  private record Frame(
      Scope scope,
      Tensor input,
      Tensor output,
      DecoderLayer.@Nullable Saved saved,
      @Nullable MemorySegment outputPages) {}

  /**
   * To be made before anything else takes memory of the batch's workspace.
   *
   * @param offload where what is kept may be put away; null for memory
   */
  LayerFrames(BatchLayers layers, @Nullable OffloadedActivations offload) {
    this.layers = layers;
    this.part = layers.part();
    this.memory = layers.pass().workspace();
    this.away = offload == null ? null : offload.open(memory);
  }

  /** Runs the next layer; returns what it makes of {@code x}, which both stay with its frame. */
  Tensor forward(int layer, Tensor x) {
    Frame frame = frame(layer, x);
    frames.add(frame);
    return frame.output();
  }

  private Frame frame(int layer, Tensor x) {
    Scope scope = memory.open();
    try {
      return away == null
          ? frame(layer, scope, x, layers.newOutput(scope, layer), null)
          : awayFrame(away, layer, scope, x);
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  /** What the layer's backward needs is put away, with its input, which nothing else does. */
  private Frame awayFrame(OffloadedActivations.Batch to, int layer, Scope scope, Tensor x) {
    long start = memory.pageBoundary();
    Tensor y = layers.newOutput(scope, layer);
    long kept = memory.pageBoundary();
    Frame frame = frame(layer, scope, x, y, memory.pages(start, kept));
    if (!part.offloads(layer)) {
      to.settle();
    } else {
      MemorySegment saved = memory.pages(kept, memory.pageBoundary());
      MemorySegment inputPages = frames.isEmpty() ? null : frames.getLast().outputPages();
      to.kept(layer, inputPages == null ? List.of(saved) : List.of(inputPages, saved));
    }
    return frame;
  }

  private Frame frame(
      int layer, Scope scope, Tensor x, Tensor y, @Nullable MemorySegment outputPages) {
    if (!part.savings().recomputes(layer)) {
      return new Frame(scope, x, y, layers.forward(layer, scope, y, x), outputPages);
    }
    try (Scope temporary = memory.open()) {
      layers.forward(layer, temporary, y, x);
    }
    return new Frame(scope, x, y, null, outputPages);
  }

  /** Runs the last layer that has a frame backward, and drops that; as {@link DecoderLayer}'s. */
  void backward(int layer, Tensor dx, Tensor dy) {
    if (away != null) {
      away.need(layer);
    }
    Frame frame = frames.get(layer);
    if (frame.saved() != null) {
      layers.backward(layer, dx, dy, frame.saved());
    } else {
      try (Scope temporary = memory.open()) {
        layers.backward(
            layer, dx, dy, layers.forward(layer, temporary, frame.output(), frame.input()));
      }
    }
    Scope scope = frames.removeLast().scope();
    if (away == null) {
      scope.close();
    } else {
      away.end(scope);
    }
  }

  @Override
  public void close() {
    if (away != null) {
      away.close();
    }
    frames.reversed().forEach(frame -> frame.scope().close());
    frames.clear();
  }
}
