package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DryRun;

/** Layers that lie in the host's memory, and are brought to an accelerator's. */
final class HostLayers implements LayerStore {
  /** What weights begin at a multiple of, in bytes. */
  private static final long ALIGNMENT = 512;

  private final Accelerator accelerator;

  /** By layer, weight after weight. */
  private final List<List<MemorySegment>> layers = new ArrayList<>();

  /**
   * @param accelerator where they are brought
   */
  HostLayers(Accelerator accelerator) {
    this.accelerator = accelerator;
  }

  @Override
  public Kept keep(int layer, MemorySegment elements) {
    if (layer == layers.size()) {
      layers.add(new ArrayList<>());
    }
    if (!DryRun.isOn()) {
      MemorySegment copy = accelerator.allocateOnHost(elements.byteSize());
      layers.get(layer).add(copy.copyFrom(elements));
    }
    return new Kept(room(elements), 0);
  }

  private static long room(MemorySegment elements) {
    return Math.ceilDiv(elements.byteSize(), ALIGNMENT) * ALIGNMENT;
  }

  @Override
  public Arrival fetch(int layer, MemorySegment memory) {
    List<Runnable> arrivals = new ArrayList<>();
    long offset = 0;
    for (MemorySegment weight : layers.get(layer)) {
      MemorySegment room = memory.asSlice(offset, weight.byteSize());
      arrivals.add(accelerator.bring(room, weight));
      offset += room(weight);
    }
    return timeout -> arrivals.forEach(Runnable::run);
  }

  @Override
  public void close() {
    accelerator.synchronize(); // none of them is on its way any more
    layers.forEach(weights -> weights.forEach(accelerator::freeOnHost));
    layers.clear();
  }
}
