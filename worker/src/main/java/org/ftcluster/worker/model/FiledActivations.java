package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.function.ObjLongConsumer;
import org.ftcluster.worker.tensor.ScratchFile;

/** What layers keep, in a file for each batch that is on its way. A thread reads and writes. */
final class FiledActivations implements ActivationStore {
  private static final String CONTENT = "activations";

  private final Path folder;
  private final DiskThread thread = new DiskThread(CONTENT);
  private final Deque<ScratchFile> free = new ArrayDeque<>();

  /**
   * @param folder on a disk with room for what batches keep that are on their way at once
   */
  FiledActivations(Path folder) {
    this.folder = folder;
  }

  @Override
  public Room open() {
    return new File(free.isEmpty() ? ScratchFile.in(folder, CONTENT) : free.pop());
  }

  private final class File implements Room {
    private final ScratchFile file;

    File(ScratchFile file) {
      this.file = file;
    }

    @Override
    public Transfer put(List<MemorySegment> pages, long at) {
      return move(pages, at, file::write);
    }

    @Override
    public Transfer get(List<MemorySegment> pages, long at) {
      return move(pages, at, file::read);
    }

    private Transfer move(List<MemorySegment> pages, long at, ObjLongConsumer<MemorySegment> way) {
      return thread.submit(
          () -> {
            long end = at;
            for (MemorySegment part : pages) {
              way.accept(part, end);
              end += part.byteSize();
            }
          });
    }

    @Override
    public void close() {
      free.push(file);
    }
  }

  @Override
  public void close() {
    thread.close();
    free.forEach(ScratchFile::close);
  }
}
