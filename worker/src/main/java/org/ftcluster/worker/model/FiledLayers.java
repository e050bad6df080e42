package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.ScratchFile;
import org.jspecify.annotations.Nullable;

/** Layers that lie in a file. A thread of its own reads. */
final class FiledLayers implements LayerStore {
  /** What weights begin at a multiple of, in bytes. */
  private static final long ALIGNMENT = 64;

  private static final String CONTENT = "weights";

  private final Path folder;
  private final List<Long> starts = new ArrayList<>();
  private final DiskThread reader = new DiskThread(CONTENT);
  private @Nullable ScratchFile file;
  private long end;

  /**
   * @param folder on a disk with room for the weights
   */
  FiledLayers(Path folder) {
    this.folder = folder;
  }

  @Override
  public Kept keep(int layer, MemorySegment elements) {
    long room = Math.ceilDiv(elements.byteSize(), ALIGNMENT) * ALIGNMENT;
    if (layer == starts.size()) {
      starts.add(end);
    }
    if (!DryRun.isOn()) {
      write(elements);
    }
    end += room;
    return new Kept(room, 0);
  }

  private void write(MemorySegment elements) {
    ScratchFile to = file;
    if (to == null) {
      to = ScratchFile.in(folder, CONTENT);
      file = to;
    }
    to.write(elements, end);
  }

  @Override
  public Arrival fetch(int layer, MemorySegment memory) {
    ScratchFile from = file;
    if (from == null) {
      throw new IllegalStateException("no layer was put away");
    }
    // The room after the last weight is past the end of the file.
    return reader.submit(() -> from.read(memory, starts.get(layer)));
  }

  /** What is read into is freed next. */
  @Override
  public void close() {
    reader.close();
    if (file != null) {
      file.close();
    }
  }
}
