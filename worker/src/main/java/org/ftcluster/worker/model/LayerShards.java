package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.quantization.Weight;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.jspecify.annotations.Nullable;

/**
 * The frozen weights of a part's layers, of which each copy of the part holds a share: a layer is
 * put together from all shares when it is about to run, one layer ahead of that, and dropped for
 * the next but one (arXiv:1910.02054, stage 3). Packed weights travel packed; their scales stay
 * with every copy.
 *
 * <p>All copies go through their layers the same number of times, in the same order; one without a
 * batch only keeps the others {@link #accompany company}. Used by the thread that runs the model.
 */
final class LayerShards {
  /** What shares are a multiple of, in bytes. */
  private static final long ALIGNMENT = 64;

  private final int shard;
  private final int shards;
  private final Scope scope;
  private final List<Layer> layers = new ArrayList<>();
  private final List<Slot> slots = List.of(new Slot(), new Slot());
  private @Nullable Communicator copies;
  private Duration timeout = Duration.ZERO;

  /**
   * @param shard of {@code shards}, this rank's
   * @param scope where shares stay
   */
  LayerShards(int shard, int shards, Scope scope) {
    this.shard = shard;
    this.shards = shards;
    this.scope = scope;
  }

  /** A layer's shares, weight after weight. */
  private static final class Layer {
    private final List<MemorySegment> shares = new ArrayList<>();
    private long bytes;
    private @Nullable Slot slot;
  }

  /** Where a layer is put together. */
  private static final class Slot {
    private final List<Work> gathers = new ArrayList<>();
    private @Nullable MemorySegment memory;
    private @Nullable Layer layer;

    void await(Duration timeout) {
      gathers.forEach(gather -> gather.await(timeout));
      gathers.clear();
    }

    void drop() {
      gathers.clear();
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

  /** The same weight, of which only a share stays here; the whole one may be dropped. */
  Weight keep(Weight whole) {
    Layer layer = layers.getLast();
    MemorySegment elements = whole.elements();
    long size = elements.byteSize();
    long part = Math.ceilDiv(size, shards * ALIGNMENT) * ALIGNMENT;
    MemorySegment share = scope.empty(DType.UINT8, part).memory();
    long from = Math.min(size, shard * part);
    if (!DryRun.isOn()) {
      MemorySegment.copy(elements, from, share, 0, Math.min(part, size - from));
    }
    long offset = layer.bytes;
    layer.shares.add(share);
    layer.bytes += part * shards;
    return whole.movedTo(
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
            return part;
          }
        });
  }

  /** Bytes of the room that layers are put together in. */
  long roomBytes() {
    return slots.size() * largest();
  }

  /**
   * Connects the ranks that hold the other shares, for a generation.
   *
   * @param ranks by shard
   * @param timeout for a layer
   */
  void connect(Communicator ranks, Duration timeout) {
    if (ranks.size() != shards || ranks.rank() != shard) {
      throw new IllegalArgumentException(
          "rank %d of %d for shard %d of %d".formatted(ranks.rank(), ranks.size(), shard, shards));
    }
    this.copies = ranks;
    this.timeout = timeout;
    slots.forEach(Slot::drop); // newcomers have nothing yet, and all do the same
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

  /** What a batch would ask for, without one. */
  void accompany(boolean training) {
    for (int layer = 0; layer < layers.size(); layer++) {
      beforeForward(layer, training);
    }
    for (int layer = layers.size() - 1; training && layer >= 0; layer--) {
      beforeBackward(layer);
    }
  }

  private void need(int index, int next) {
    Slot here = fetch(layers.get(index), null);
    long start = Profile.begin();
    here.await(timeout);
    Profile.ended("wait for a layer's shares", start, 0, layers.get(index).bytes);
    fetch(layers.get(next), here);
  }

  /**
   * Sees to it that a layer is there, or on its way.
   *
   * @param other where it mustn't go, because that is in use
   */
  private Slot fetch(Layer layer, @Nullable Slot other) {
    if (layer.slot != null) {
      return layer.slot;
    }
    Slot slot = slots.getFirst() == other ? slots.getLast() : slots.getFirst();
    slot.await(timeout);
    slot.drop();
    if (slot.memory == null) {
      slot.memory = scope.empty(DType.UINT8, largest()).memory();
    }
    slot.layer = layer;
    layer.slot = slot;
    if (!DryRun.isOn()) {
      gather(layer, slot, slot.memory);
    }
    return slot;
  }

  private void gather(Layer layer, Slot slot, MemorySegment memory) {
    Communicator ranks = copies;
    if (ranks == null) {
      throw new IllegalStateException("a share of a model runs with all others, or not at all");
    }
    long offset = 0;
    for (MemorySegment share : layer.shares) {
      long bytes = share.byteSize() * shards;
      slot.gathers.add(ranks.allGather(share, memory.asSlice(offset, bytes)));
      offset += bytes;
    }
  }

  private long largest() {
    return layers.stream().mapToLong(layer -> layer.bytes).max().orElse(0);
  }
}
