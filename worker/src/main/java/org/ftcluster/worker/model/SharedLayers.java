package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Layers of which each copy of a part holds a share in memory: one is put together from all shares
 * (arXiv:1910.02054, stage 3).
 */
final class SharedLayers implements LayerStore {
  /** What shares are a multiple of, in bytes. */
  private static final long ALIGNMENT = 64;

  private final int shard;
  private final int shards;
  private final Scope scope;

  /** By layer, weight after weight. */
  private final List<List<MemorySegment>> shares = new ArrayList<>();

  private @Nullable Communicator copies;

  /**
   * @param shard of {@code shards}, this rank's
   * @param scope where shares stay
   */
  SharedLayers(int shard, int shards, Scope scope) {
    this.shard = shard;
    this.shards = shards;
    this.scope = scope;
  }

  @Override
  public Kept keep(int layer, MemorySegment elements) {
    long size = elements.byteSize();
    long part = Math.ceilDiv(size, shards * ALIGNMENT) * ALIGNMENT;
    Tensor share = scope.empty(DType.UINT8, part);
    long from = Math.min(size, shard * part);
    if (!DryRun.isOn()) {
      share.write(elements.asSlice(from, Math.min(part, size - from)));
    }
    if (layer == shares.size()) {
      shares.add(new ArrayList<>());
    }
    shares.get(layer).add(share.address());
    return new Kept(part * shards, part);
  }

  /**
   * Connects the ranks that hold the other shares, for a generation.
   *
   * @param ranks by shard
   */
  void connect(Communicator ranks) {
    if (ranks.size() != shards || ranks.rank() != shard) {
      throw new IllegalArgumentException(
          "rank %d of %d for shard %d of %d".formatted(ranks.rank(), ranks.size(), shard, shards));
    }
    this.copies = ranks;
  }

  @Override
  public Arrival fetch(int layer, MemorySegment memory) {
    Communicator ranks = copies;
    if (ranks == null) {
      throw new IllegalStateException("a share of a model runs with all others, or not at all");
    }
    List<Work> gathers = new ArrayList<>();
    long offset = 0;
    for (MemorySegment share : shares.get(layer)) {
      long bytes = share.byteSize() * shards;
      gathers.add(ranks.allGather(share, memory.asSlice(offset, bytes)));
      offset += bytes;
    }
    return timeout -> gathers.forEach(gather -> gather.await(timeout));
  }

  @Override
  public void close() {
    copies = null;
  }
}
