package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.model.LayerStore.Arrival;
import org.ftcluster.worker.model.LayerStore.Kept;
import org.ftcluster.worker.quantization.Weight;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.jspecify.annotations.Nullable;

/**
 * The frozen weights of a part's layers where memory doesn't hold them all: a layer is brought
 * there when it is about to run, one layer ahead of that, and dropped for the next but one. Packed
 * weights travel packed; their scales stay.
 *
 * <p>Used by the thread that runs the model.
 */
final class LayerWindow implements AutoCloseable {
  /** For a layer from a store that isn't connected to others. */
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  private final LayerStore store;
  private final Scope scope;
  private final List<Layer> layers = new ArrayList<>();
  private final List<Slot> slots = List.of(new Slot(), new Slot());
  private Duration timeout = PATIENCE;

  /**
   * @param scope where the window's room stays
   */
  LayerWindow(LayerStore store, Scope scope) {
    this.store = store;
    this.scope = scope;
  }

  private static final class Layer {
    private long bytes;
    private @Nullable Slot slot;
  }

  /** Where a layer is brought. */
  private static final class Slot {
    private @Nullable Arrival arrival;
    private @Nullable MemorySegment memory;
    private @Nullable Layer layer;

    void await(Duration timeout) {
      if (arrival != null) {
        arrival.await(timeout);
        arrival = null;
      }
    }

    void drop() {
      arrival = null;
      if (layer != null) {
        layer.slot = null;
        layer = null;
      }
    }
  }

  /** Begins the next layer; weights that are kept from now on are its. */
  void newLayer() {
    layers.add(new Layer());
  }

  /** The same weight, put away; the one in the host's memory may be dropped. */
  Weight keep(Weight whole) {
    Layer layer = layers.getLast();
    MemorySegment elements = whole.elements();
    long size = elements.byteSize();
    Kept kept = store.keep(layers.size() - 1, elements);
    long offset = layer.bytes;
    layer.bytes += kept.room();
    Weight moved =
        whole.movedTo(
            new Weight.Storage() {
              @Override
              public MemorySegment bytes() {
                if (layer.slot == null || layer.slot.memory == null) {
                  throw new IllegalStateException("a layer runs that isn't here");
                }
                return layer.slot.memory.asSlice(offset, size);
              }

              @Override
              public long held() {
                return kept.held();
              }
            });
    return scope.isOnDevice() ? moved.onDevice(scope) : moved;
  }

  /** Bytes of the room that layers are brought to. */
  long roomBytes() {
    return slots.size() * largest();
  }

  /** Bytes of the layers that lie on a disk. */
  long filedBytes() {
    return switch (store) {
      case FiledLayers ignored -> layers.stream().mapToLong(layer -> layer.bytes).sum();
      case HostLayers ignored -> 0;
      case SharedLayers ignored -> 0;
    };
  }

  /**
   * Connects the ranks that hold the other shares, for a generation, where layers are shared out.
   *
   * @param ranks by shard
   * @param timeout for a layer
   */
  void connect(Communicator ranks, Duration timeout) {
    if (store instanceof SharedLayers shared) {
      shared.connect(ranks);
      this.timeout = timeout;
      slots.forEach(Slot::drop); // newcomers have nothing yet, and all do the same
    }
  }

  /**
   * To be called before a layer's forward.
   *
   * @param training whether the backward follows after the last one
   */
  void beforeForward(int layer, boolean training) {
    int last = layers.size() - 1;
    need(layer, layer < last ? layer + 1 : training ? Math.max(0, last - 1) : 0);
  }

  /** To be called before a layer's backward. */
  void beforeBackward(int layer) {
    need(layer, layer > 0 ? layer - 1 : Math.min(1, layers.size() - 1));
  }

  /**
   * What a batch's forward would ask for, without one: ranks that share layers out all go through
   * them the same number of times, in the same order.
   */
  void accompanyForward(boolean training) {
    for (int layer = 0; isShared() && layer < layers.size(); layer++) {
      beforeForward(layer, training);
    }
  }

  /** The same of its backward. */
  void accompanyBackward() {
    for (int layer = layers.size() - 1; isShared() && layer >= 0; layer--) {
      beforeBackward(layer);
    }
  }

  private boolean isShared() {
    return store instanceof SharedLayers;
  }

  private void need(int index, int next) {
    Slot here = fetch(index, null);
    long start = Profile.begin();
    here.await(timeout);
    Profile.ended("wait for a layer's weights", start, 0, layers.get(index).bytes);
    fetch(next, here);
  }

  /**
   * Sees to it that a layer is there, or on its way.
   *
   * @param other where it mustn't go, because that is in use
   */
  private Slot fetch(int index, @Nullable Slot other) {
    Layer layer = layers.get(index);
    if (layer.slot != null) {
      return layer.slot;
    }
    Slot slot = slots.getFirst() == other ? slots.getLast() : slots.getFirst();
    slot.await(timeout);
    slot.drop();
    if (slot.memory == null) {
      slot.memory = scope.empty(DType.UINT8, largest()).address();
    }
    slot.layer = layer;
    layer.slot = slot;
    if (!DryRun.isOn()) {
      slot.arrival = store.fetch(index, slot.memory.asSlice(0, layer.bytes));
    }
    return slot;
  }

  private long largest() {
    return layers.stream().mapToLong(layer -> layer.bytes).max().orElse(0);
  }

  @Override
  public void close() {
    store.close();
  }
}
